//! docs/running.md

use super::{
    super::{
        peer::{Outcome::Page, Peer::Visitor},
        plan::{
            Plan,
            Step::{Expect, Says, Type},
        },
    },
    start,
};

pub(super) const PLAN: Plan = Plan {
    document: "docs/running.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[
        Type("aop upgrade"),
        Expect(Visitor, 443, Page),
        Says("systemctl status aop", "active (running)"),
    ],
};
