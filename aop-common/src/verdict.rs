//! The decision about one packet, why it was taken, and the one counter that it moves.

/// What becomes of a packet, and why. What the kernel then does depends on the [`Mode`] as well:
/// see [`Verdict::action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a verdict that nobody carries out lets the packet through"]
pub enum Verdict {
    /// The kernel gets it.
    Pass(PassReason),
    /// Nobody gets it, and nobody is told.
    Drop(DropReason),
}

/// Why a packet passes. The numbers index counters: append only, with a new
/// [`LAYOUT_VERSION`](crate::layout::LAYOUT_VERSION).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum PassReason {
    /// Not TCP over IP, or TCP to a port that the firewall does not cover.
    NotGuarded = 0,
    /// To a guarded port, but the host only forwards it.
    Transit = 1,
    /// From an admitted prefix.
    Admitted = 2,
    /// From an authenticated peer whose prefix has lately left the list, or never was on it.
    Proven = 3,
    /// From a stranger who is given a try to authenticate.
    Probation = 4,
}

/// Why a packet is dropped. The numbers index counters, as those of [`PassReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum DropReason {
    /// To a guarded port, from an address that nothing admits.
    UnknownSource = 0,
    /// A header that contradicts itself or ends too early, from such an address.
    Malformed = 1,
    /// A fragment that may carry TCP to a guarded port, from such an address: the port of later
    /// pieces is unknown, and pieces reassemble in any order.
    Fragment = 2,
    /// More VLAN tags or IPv6 extension headers than are walked, or a packet inside a packet that
    /// the kernel would unwrap.
    TooDeep = 3,
    /// A new connection from an admitted network in which nobody has authenticated lately, over the
    /// network's budget.
    SynBudget = 4,
    /// UDP to a guarded port, where that is to be dropped.
    Udp = 5,
}

/// How verdicts are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// Drop what is to be dropped. Zero, so that settings nobody wrote fail closed.
    Enforce = 0,
    /// Count what would be dropped, and pass it.
    Observe = 1,
}

impl Mode {
    /// The mode behind a number in the settings map. Unknown numbers enforce.
    #[inline(always)]
    pub const fn from_u32(number: u32) -> Self {
        if number == Self::Observe as u32 { Self::Observe } else { Self::Enforce }
    }
}

/// What is done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Passed.
    Pass,
    /// Dropped.
    Drop,
    /// Passed, since the mode is observe; enforcing would drop it.
    WouldDrop,
}

impl Verdict {
    /// What `mode` makes of this verdict.
    #[inline(always)]
    #[must_use]
    pub const fn action(self, mode: Mode) -> Action {
        match (self, mode) {
            (Self::Pass(_), _) => Action::Pass,
            (Self::Drop(_), Mode::Enforce) => Action::Drop,
            (Self::Drop(_), Mode::Observe) => Action::WouldDrop,
        }
    }

    /// The reason's stable name, as it stands in status, metrics and logs.
    #[inline(always)]
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Pass(PassReason::NotGuarded) => "not_guarded",
            Self::Pass(PassReason::Transit) => "transit",
            Self::Pass(PassReason::Admitted) => "admitted",
            Self::Pass(PassReason::Proven) => "proven",
            Self::Pass(PassReason::Probation) => "probation",
            Self::Drop(DropReason::UnknownSource) => "unknown_source",
            Self::Drop(DropReason::Malformed) => "malformed",
            Self::Drop(DropReason::Fragment) => "fragment",
            Self::Drop(DropReason::TooDeep) => "too_deep",
            Self::Drop(DropReason::SynBudget) => "syn_budget",
            Self::Drop(DropReason::Udp) => "udp",
        }
    }
}

impl Action {
    /// The action's stable name.
    #[inline(always)]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::WouldDrop => "would_drop",
        }
    }
}

/// The counter that a verdict moves: each verdict, in each mode, moves exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tally(u32);

impl Tally {
    const PASSES: u32 = 5;
    const DROPS: u32 = 6;
    /// How many counters one interface has.
    pub const COUNT: u32 = Self::PASSES + 2 * Self::DROPS;

    /// The counter of `verdict` under `mode`.
    #[inline(always)]
    #[must_use]
    pub const fn of(verdict: Verdict, mode: Mode) -> Self {
        match (verdict, mode) {
            (Verdict::Pass(reason), _) => Self(reason as u32),
            (Verdict::Drop(reason), Mode::Enforce) => {
                Self(Self::PASSES.wrapping_add(reason as u32))
            }
            (Verdict::Drop(reason), Mode::Observe) => {
                Self((Self::PASSES + Self::DROPS).wrapping_add(reason as u32))
            }
        }
    }

    /// Where the counter stands among those of its interface, below [`Tally::COUNT`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Every counter once, with the verdict and mode that move it.
    pub fn all() -> impl Iterator<Item = (Self, Verdict, Mode)> {
        let passes = [
            PassReason::NotGuarded,
            PassReason::Transit,
            PassReason::Admitted,
            PassReason::Proven,
            PassReason::Probation,
        ];
        let drops = [
            DropReason::UnknownSource,
            DropReason::Malformed,
            DropReason::Fragment,
            DropReason::TooDeep,
            DropReason::SynBudget,
            DropReason::Udp,
        ];
        let under = |mode| {
            drops.into_iter().map(move |reason| {
                let verdict = Verdict::Drop(reason);
                (Self::of(verdict, mode), verdict, mode)
            })
        };
        passes
            .into_iter()
            .map(|reason| {
                let verdict = Verdict::Pass(reason);
                (Self::of(verdict, Mode::Enforce), verdict, Mode::Enforce)
            })
            .chain(under(Mode::Enforce))
            .chain(under(Mode::Observe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_one_verdict_and_its_own_index() {
        let indices = Tally::all().map(|(tally, ..)| tally.index());
        assert!(indices.eq(0..Tally::COUNT));
    }

    #[test]
    fn an_unknown_mode_enforces() {
        for number in [0, 2, 7, u32::MAX] {
            assert_eq!(Mode::from_u32(number), Mode::Enforce);
        }
        assert_eq!(Mode::from_u32(Mode::Observe as u32), Mode::Observe);
    }
}
