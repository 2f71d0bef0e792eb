//! docs/modes.md

use super::{
    super::{
        peer::{
            Family::{V4, V6},
            Outcome::{Page, Refusal, Silence},
            Peer::{Monitor, Stranger, Visitor},
        },
        plan::{
            Plan,
            Step::{Expect, ExpectOver, Inside, Type},
        },
    },
    start,
};

pub(super) const PLAN: Plan = Plan {
    document: "docs/modes.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[
        Type("aop mode enforce --port 8443"),
        Expect(Stranger, 443, Silence),
        Expect(Stranger, 8443, Silence),
        Expect(Visitor, 443, Page),
        Expect(Monitor, 443, Refusal),
        Type("aop mode enforce --site"),
        Expect(Visitor, 443, Page),
        Type("aop open"),
        // Close has been typed too.
        Expect(Stranger, 443, Silence),
        Inside("aop open --from 198.51.100.0/24 --for 10m"),
        // Its packets pass, and its certificate is still asked for.
        ExpectOver(V4, Stranger, 443, Refusal),
        ExpectOver(V6, Stranger, 443, Silence),
    ],
};
