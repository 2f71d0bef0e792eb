//! The policy stated a second time, as the oracle of property tests and of fuzzing.
//!
//! [`expected`] decides over a finished reading of the frame. It shares the readers of single
//! headers with `decide`, but neither its fast path nor its order of questions. It knows no
//! optional rule.

use aop_common::{
    Action, Address, Bytes, DropReason, Facts, Flow, Mode, PassReason, Segment, Standing, Verdict,
    judge,
};

/// Judges a frame and compares. The first byte of `input` is the world that the frame comes to, the
/// rest is the frame: a fuzzer may choose both.
///
/// # Panics
/// The policy decides otherwise than it must.
pub fn check(input: &[u8]) {
    let Some((world, frame)) = input.split_first() else { return };
    let (world, frame) = (World(*world), Bytes(frame));
    let verdict = judge(&frame, &world);
    let segment = Segment::read(&frame);
    assert_eq!(verdict, expected(segment, &world), "{segment:?} in {world:?}");
    assert_ne!(verdict.action(Mode::Observe), Action::Drop);
    match verdict {
        Verdict::Pass(PassReason::Admitted) => assert_eq!(world.any_standing(), Standing::Admitted),
        Verdict::Pass(PassReason::Proven) => assert!(world.peers()),
        Verdict::Pass(PassReason::Transit) => assert!(world.forwards()),
        Verdict::Drop(DropReason::UnknownSource) => assert!(!world.forwards()),
        Verdict::Pass(_) | Verdict::Drop(_) => {}
    }
}

/// The verdict on a frame that reads as `segment`, where no optional rule is on.
pub fn expected(segment: Segment, facts: &impl Facts) -> Verdict {
    let (flow, otherwise) = match segment {
        Segment::Other
        | Segment::Udp { .. }
        | Segment::Undecidable { why: DropReason::Udp, .. } => {
            return Verdict::Pass(PassReason::NotGuarded);
        }
        Segment::Unreadable(why) => return Verdict::Drop(why),
        Segment::Unfit { flow, .. } if facts.transit(flow) => {
            return Verdict::Pass(PassReason::Transit);
        }
        Segment::Unfit { why, .. } => return Verdict::Drop(why),
        Segment::Tcp { port, .. } if !facts.guarded(port) => {
            return Verdict::Pass(PassReason::NotGuarded);
        }
        Segment::Tcp { flow, why, .. } | Segment::Undecidable { flow, why } => (flow, why),
    };
    match (facts.standing(flow.source), facts.authenticated(flow.source)) {
        (Standing::Admitted, _) => Verdict::Pass(PassReason::Admitted),
        (Standing::Draining, true) => Verdict::Pass(PassReason::Proven),
        _ if facts.transit(flow) => Verdict::Pass(PassReason::Transit),
        _ => Verdict::Drop(otherwise),
    }
}

/// Facts from eight bits. The answers for the two families may differ, so that a question about the
/// wrong family shows.
#[derive(Clone, Copy, Debug)]
struct World(u8);

impl World {
    fn any_standing(self) -> Standing {
        match self.0 & 3 {
            0 => Standing::Unknown,
            1 => Standing::Draining,
            _ => Standing::Admitted,
        }
    }

    fn peers(self) -> bool {
        self.0 & 4 != 0
    }

    fn forwards(self) -> bool {
        self.0 & 8 != 0
    }

    fn only_ipv6(self) -> bool {
        self.0 & 16 != 0
    }
}

impl Facts for World {
    fn guarded(&self, port: u16) -> bool {
        match self.0 >> 5 {
            0 => false,
            1 => port == 443,
            2 => port & 1 == 1,
            _ => true,
        }
    }

    fn standing(&self, source: Address) -> Standing {
        match source {
            Address::V4(_) if self.only_ipv6() => Standing::Unknown,
            Address::V4(_) | Address::V6(_) => self.any_standing(),
        }
    }

    fn authenticated(&self, source: Address) -> bool {
        self.peers() && !(self.only_ipv6() && matches!(source, Address::V4(_)))
    }

    fn transit(&self, _: Flow) -> bool {
        self.forwards()
    }
}
