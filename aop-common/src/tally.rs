//! The counters of an interface, and the one that a verdict moves.

use crate::{DropReason, Mode, PassReason, Verdict};

/// The counter that a verdict moves: each verdict, in each mode, moves exactly one.
///
/// An interface has [`Tally::COUNT`] counters in a row: those of the pass reasons, those of the
/// drops that are carried out, and those of the drops that are only observed. Each of the three has
/// spare places behind the reasons of today, so that a new reason neither moves another one's
/// counter nor changes the size of the map: it needs no new
/// [`LAYOUT_VERSION`](crate::layout::LAYOUT_VERSION).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tally(u32);

impl Tally {
    /// Where the counters of enforced drops begin, and where those of observed drops do.
    const ENFORCED: u32 = PassReason::ROOM;
    const OBSERVED: u32 = Self::ENFORCED + DropReason::ROOM;
    /// How many counters one interface has, the spare ones included.
    pub const COUNT: u32 =
        Self::OBSERVED + DropReason::ROOM + if cfg!(feature = "next-layout") { 16 } else { 0 };

    /// The counter of `verdict` under `mode`.
    #[inline(always)]
    #[must_use]
    pub const fn of(verdict: Verdict, mode: Mode) -> Self {
        match (verdict, mode) {
            (Verdict::Pass(reason), _) => Self(reason as u32),
            (Verdict::Drop(reason), Mode::Enforce) => {
                Self(Self::ENFORCED.wrapping_add(reason as u32))
            }
            (Verdict::Drop(reason), Mode::Observe) => {
                Self(Self::OBSERVED.wrapping_add(reason as u32))
            }
        }
    }

    /// Where the counter stands among those of its interface, below [`Tally::COUNT`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Every counter that some verdict moves, once, with that verdict and mode.
    pub fn all() -> impl Iterator<Item = (Self, Verdict, Mode)> {
        let passes = PassReason::ALL.iter().map(|reason| (Verdict::Pass(*reason), Mode::Enforce));
        let drops = |mode| DropReason::ALL.iter().map(move |it| (Verdict::Drop(*it), mode));
        passes
            .chain(drops(Mode::Enforce))
            .chain(drops(Mode::Observe))
            .map(|(verdict, mode)| (Self::of(verdict, mode), verdict, mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_verdicts_move_one_counter_and_all_counters_fit() {
        let mut taken = [false; Tally::COUNT as usize];
        for (tally, verdict, mode) in Tally::all() {
            let taken = taken.get_mut(tally.index() as usize).expect("it fits");
            assert!(!*taken, "{verdict:?} under {mode:?}");
            *taken = true;
        }
    }

    #[test]
    fn each_pass_reason_has_one_counter_and_each_drop_reason_one_for_each_mode() {
        assert_eq!(Tally::all().count(), PassReason::ALL.len() + 2 * DropReason::ALL.len());
    }

    /// Pinned maps outlive the program: a counter that changes its place goes on from the figures
    /// of another one.
    #[test]
    fn the_counters_of_this_layout_version_keep_their_places() {
        let pass = |reason| Tally::of(Verdict::Pass(reason), Mode::Enforce).index();
        assert_eq!((pass(PassReason::NotGuarded), pass(PassReason::Probation)), (0, 4));
        let drop = |mode, reason| Tally::of(Verdict::Drop(reason), mode).index();
        let ends = |mode| (drop(mode, DropReason::UnknownSource), drop(mode, DropReason::Udp));
        assert_eq!((ends(Mode::Enforce), ends(Mode::Observe)), ((16, 21), (40, 45)));
        assert_eq!(Tally::COUNT, 64);
    }

    #[test]
    fn no_two_reasons_share_a_name() {
        let passes = PassReason::ALL.iter().map(|reason| reason.name());
        let mut names = passes.chain(DropReason::ALL.iter().map(|reason| reason.name()));
        while let Some(name) = names.next() {
            assert!(names.clone().all(|other| other != name), "{name}");
        }
    }
}
