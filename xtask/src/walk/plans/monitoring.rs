//! docs/monitoring.md

use super::{
    super::plan::{
        Plan,
        Step::{Append, Type},
    },
    start,
};

pub(super) const PLAN: Plan = Plan {
    document: "docs/monitoring.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[Append("[monitor]", "/etc/aop/aop.toml"), Type("aop check")],
};
