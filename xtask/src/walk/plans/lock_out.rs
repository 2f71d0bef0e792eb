//! docs/lock-out.md

use super::{
    super::{
        peer::{
            Outcome::{Page, Silence},
            Peer::{Stranger, Visitor},
        },
        plan::{
            Plan,
            Step::{Expect, Inside, Says, Type},
        },
    },
    start,
};

pub(super) const PLAN: Plan = Plan {
    document: "docs/lock-out.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[
        Inside("aop mode enforce && aop mode enforce --site example.com"),
        Expect(Stranger, 443, Silence),
        Expect(Visitor, 443, Page),
        // Each way out works alone.
        Inside("aop unload && aop mode observe && aop mode observe --site example.com"),
        Expect(Stranger, 443, Page),
        Inside("systemctl restart aop && aop mode enforce --force"),
        Expect(Stranger, 443, Silence),
        Type("aop status"),
        Type("aop mode observe"),
        Expect(Stranger, 443, Page),
        Says("aop status", "NOT GUARDING"),
        Type("systemctl disable"),
        Says("aop status", "no daemon"),
        Type("systemctl enable"),
        Expect(Visitor, 443, Page),
        Type("aop mode"),
    ],
};
