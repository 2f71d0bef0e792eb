//! docs/running.md

use super::{
    super::{
        peer::{Outcome::Page, Peer::Visitor},
        plan::{
            Plan,
            Step::{Expect, Inside, Says, Type},
        },
    },
    start,
};

/// The manual pages of the package, as `man` shows them.
const MANUALS: &str = r#"
export MANWIDTH=80 LC_ALL=C.UTF-8
man aop | grep -q '^EXIT STATUS'
man aop-status | grep -q -- --check
man aop.toml > page 2> complaints
grep -q '^ *site.on_refusal$' page && grep -q '^UPSTREAMS' page
test ! -s complaints"#;

pub(super) const PLAN: Plan = Plan {
    document: "docs/running.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[
        Type("aop upgrade"),
        Expect(Visitor, 443, Page),
        Says("systemctl status aop", "active (running)"),
        Inside(MANUALS),
    ],
};
