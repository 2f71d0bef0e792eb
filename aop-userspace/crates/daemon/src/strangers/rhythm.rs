//! Whether a source opens connections at regular intervals, as a monitor does.

use serde::{Deserialize, Serialize};

/// Connections that begin within so many seconds of one another are one contact.
const TOGETHER: u64 = 5;
/// Intervals that must have been seen.
const ENOUGH: u64 = 8;
/// The longest interval of a monitor, in seconds.
const LONGEST: u64 = 3600;
/// The most connections of one contact. A visitor opens more.
const MOST_CONNECTIONS: u64 = 4;

/// The contacts of a source, by the intervals between them in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rhythm {
    /// Unix seconds of the last contact; 0 before the first.
    last: u64,
    /// Connections in all.
    connections: u64,
    intervals: u64,
    sum: u64,
    sum_of_squares: u64,
    /// Intervals that were left out, because they are much longer than the others: the source or
    /// this host was down.
    breaks: u64,
}

impl Rhythm {
    /// Counts `connections`, of which the last began at `at`.
    pub(super) fn count(&mut self, connections: u64, at: u64) {
        if connections == 0 {
            return;
        }
        self.connections = self.connections.saturating_add(connections);
        let before = self.last;
        let interval = at.saturating_sub(before);
        if before > 0 && interval < TOGETHER {
            return;
        }
        self.last = at;
        if before == 0 {
            return;
        }
        if interval > LONGEST || self.mean().is_some_and(|mean| interval > 3 * mean) {
            self.breaks += 1;
            return;
        }
        self.intervals += 1;
        self.sum += interval;
        self.sum_of_squares += interval * interval;
    }

    /// The interval in seconds, if it is regular: most intervals differ from the mean by a fifth at
    /// most.
    pub(super) fn every(&self) -> Option<u64> {
        let mean = self.mean().filter(|_| self.intervals >= ENOUGH)?;
        let contacts = self.intervals + self.breaks + 1;
        let variance = (self.sum_of_squares / self.intervals).saturating_sub(mean * mean);
        // The times have whole seconds, and the mean is cut: two seconds of tolerance.
        let tolerance = mean / 5 + 2;
        let regular = variance <= tolerance * tolerance && self.breaks * 8 <= self.intervals;
        (regular && self.connections <= MOST_CONNECTIONS * contacts).then_some(mean)
    }

    fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.intervals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(contacts: impl IntoIterator<Item = (u64, u64)>) -> Rhythm {
        let mut rhythm = Rhythm::default();
        contacts.into_iter().for_each(|(connections, at)| rhythm.count(connections, at));
        rhythm
    }

    #[test]
    fn a_monitor_is_regular_also_after_a_night_without_it() {
        for every in [10, 30, 60, 300] {
            let jitter = |n: u64| 1000 + n * every + n % 3;
            assert_eq!(rhythm((0..8).map(|n| (1, jitter(n)))).every(), None, "too few");
            let found = rhythm((0..20).map(|n| (2, jitter(n)))).every().expect("regular");
            assert!(found.abs_diff(every) <= 1, "{found} for {every}");
        }
        let night =
            (0..20).map(|n| (1, 1000 + 60 * n)).chain((0..20).map(|n| (1, 50_000 + 60 * n)));
        assert_eq!(rhythm(night).every(), Some(60));
    }

    #[test]
    fn scanners_and_visitors_are_not_regular() {
        let scanner = (0..40).map(|n: u64| (1, 1000 + n * n * 37 % 5000 + n * 5000));
        assert_eq!(rhythm(scanner).every(), None);
        let visitor = (0..40).map(|n| (20, 1000 + 10 * n));
        assert_eq!(rhythm(visitor).every(), None);
        let burst = (0..40).map(|n| (1, 1000 + n));
        assert!(rhythm(burst).every().is_none_or(|every| every <= 6));
    }
}
