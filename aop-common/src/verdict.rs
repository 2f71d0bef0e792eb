//! The decision about one packet, and what each mode does with it.

use crate::{DropReason, PassReason};

/// The decision about a packet, and its reason. The action of the kernel depends on the [`Mode`]
/// too: see [`Verdict::action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a verdict that is not carried out lets the packet pass"]
pub enum Verdict {
    /// The kernel gets it.
    Pass(PassReason),
    /// The packet is dropped silently: no RST, no ICMP.
    Drop(DropReason),
}

/// How verdicts are carried out. Its serde form is its stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[repr(u32)]
pub enum Mode {
    /// Drop what is to be dropped. Zero, so that settings nobody wrote fail closed.
    Enforce = 0,
    /// Count what would be dropped, and pass it.
    Observe = 1,
}

impl Mode {
    /// The mode behind a number in the modes map. Unknown numbers enforce.
    #[inline(always)]
    pub const fn from_u32(number: u32) -> Self {
        if number == Self::Observe as u32 { Self::Observe } else { Self::Enforce }
    }

    /// The mode's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// The treatment of a packet. Its serde form is its stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Action {
    /// Passed.
    Pass,
    /// Dropped.
    Drop,
    /// Passed, since the mode is observe; enforcing would drop it.
    WouldDrop,
}

impl Verdict {
    /// The action for this verdict in `mode`.
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
            Self::Pass(reason) => reason.name(),
            Self::Drop(reason) => reason.name(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tally;

    #[test]
    fn observing_drops_nothing_and_enforcing_drops_every_drop() {
        for (_, verdict, _) in Tally::all() {
            let actions = (verdict.action(Mode::Enforce), verdict.action(Mode::Observe));
            match verdict {
                Verdict::Pass(_) => assert_eq!(actions, (Action::Pass, Action::Pass)),
                Verdict::Drop(_) => assert_eq!(actions, (Action::Drop, Action::WouldDrop)),
            }
        }
    }

    #[test]
    fn names_in_status_metrics_and_logs_stay_as_they_are() {
        assert_eq!([Mode::Enforce, Mode::Observe].map(Mode::name), ["enforce", "observe"]);
        let actions = [Action::Pass, Action::Drop, Action::WouldDrop];
        assert_eq!(actions.map(Action::name), ["pass", "drop", "would_drop"]);
        assert_eq!(Verdict::Pass(PassReason::Admitted).reason(), "admitted");
        assert_eq!(Verdict::Drop(DropReason::UnknownSource).reason(), "unknown_source");
    }

    #[test]
    fn an_unknown_mode_enforces() {
        for number in [0, 2, 7, u32::MAX] {
            assert_eq!(Mode::from_u32(number), Mode::Enforce);
        }
        assert_eq!(Mode::from_u32(Mode::Observe as u32), Mode::Observe);
    }
}
