//! docs/monitoring.md

use super::{
    super::plan::{
        Plan,
        Step::{Append, Leave, Type},
    },
    start,
};

pub(super) const PLAN: Plan = Plan {
    document: "docs/monitoring.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[
        Append("[monitor]", "/etc/aop/aop.toml"),
        Type("aop check"),
        Type("cd /usr/share/doc/aop/examples"),
        Leave("[monitor]", "`cargo xtask page` tests the page in a browser"),
        Leave("ssh -L", "it needs another machine"),
    ],
};
