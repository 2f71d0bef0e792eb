//! docs/cut-over.md

use super::{
    super::{
        peer::{
            Outcome::{Page, Refusal, Silence},
            Peer::{Edge, Monitor, Stranger, Visitor},
        },
        plan::{
            Plan,
            Step::{Expect, Inside, Reboot, Says, Type},
        },
    },
    start,
};

pub(super) const PLAN: Plan = Plan {
    document: "docs/cut-over.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[
        Expect(Stranger, 443, Page),
        Type("aop status"),
        Type("aop doctor"),
        Type("aop identities"),
        Type("aop mode enforce"),
        Expect(Stranger, 443, Silence),
        Expect(Visitor, 443, Page),
        Type("aop confirm"),
        Type("aop mode enforce --site"),
        Expect(Monitor, 443, Refusal),
        Expect(Visitor, 443, Page),
        Expect(Edge, 443, Page),
        Inside("aop confirm"),
        Inside("sed -i 's/^mode .*/mode = \"enforce\"/; /^on_refusal/d' /etc/aop/aop.toml"),
        Type("aop check"),
        Expect(Stranger, 443, Silence),
        Reboot,
        Expect(Visitor, 443, Page),
        Expect(Stranger, 443, Silence),
        Expect(Monitor, 443, Refusal),
        Type("aop mode observe --site"),
        Says("aop status", "NOT GUARDING"),
        Expect(Visitor, 443, Page),
    ],
};
