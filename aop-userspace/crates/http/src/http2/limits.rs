//! The rates that a peer may not exceed.
//!
//! Each kind of conduct that costs this side more than the peer has a bucket: every occurrence
//! adds to it, and it drains with time. A bucket that is full retires the connection in order:
//! open streams finish, and a peer in good faith opens another connection. Ten times as much is an
//! attack and ends the connection at once. Nothing counts over the life of a connection.

/// A rate that a peer exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Streams that the peer reset (CVE-2023-44487).
    Resets,
    /// Streams that were refused, malformed, or reset because of the peer's errors (CVE-2025-8671).
    Faults,
    /// DATA without a byte and without END_STREAM (CVE-2019-9518).
    EmptyData,
    /// PING (CVE-2019-9512).
    Pings,
    /// SETTINGS (CVE-2019-9515).
    Settings,
    /// PRIORITY and frames of unknown types.
    IgnoredFrames,
    /// WINDOW_UPDATE with small increments (CVE-2019-9511).
    SmallUpdates,
    /// Frames on streams that have ended.
    LateFrames,
}

/// A WINDOW_UPDATE below this many bytes is small.
pub(super) const SMALL_UPDATE: u32 = 256;

/// A flood is this many times as much as a full bucket.
const FLOOD: u32 = 10;

impl Limit {
    /// All limits, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Resets,
        Self::Faults,
        Self::EmptyData,
        Self::Pings,
        Self::Settings,
        Self::IgnoredFrames,
        Self::SmallUpdates,
        Self::LateFrames,
    ];

    /// The name in logs, status and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::Faults => "faults",
            Self::EmptyData => "empty_data",
            Self::Pings => "pings",
            Self::Settings => "settings",
            Self::IgnoredFrames => "ignored_frames",
            Self::SmallUpdates => "small_updates",
            Self::LateFrames => "late_frames",
        }
    }

    /// The size of the bucket, and what drains from it in a second.
    const fn rate(self) -> (u32, u32) {
        match self {
            // Each open stream of a visitor who leaves, twice over.
            Self::Resets => (400, 100),
            Self::Faults => (200, 50),
            Self::EmptyData => (200, 50),
            // Peers measure the round trip with it.
            Self::Pings => (200, 100),
            Self::Settings => (50, 5),
            // Peers may send one or two with each request.
            Self::IgnoredFrames => (4_000, 2_000),
            Self::SmallUpdates => (4_000, 2_000),
            // Two hundred uploads, each with a full window of short frames under way.
            Self::LateFrames => (10_000, 2_000),
        }
    }
}

/// The buckets of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    buckets: [Bucket; Limit::ALL.len()],
}

/// An amount in thousandths, and the time at which it was right.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    amount: u32,
    at: u64,
}

/// How much a peer has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    Acceptable,
    Excessive,
    Flood,
}

impl Limits {
    /// Counts one occurrence, `now` in milliseconds.
    pub(super) fn count(&mut self, limit: Limit, now: u64) -> Conduct {
        let (size, drain) = limit.rate();
        let bucket = &mut self.buckets[limit as usize];
        let drained = now.saturating_sub(bucket.at).saturating_mul(u64::from(drain));
        let drained = u32::try_from(drained).unwrap_or(u32::MAX);
        bucket.amount = bucket.amount.saturating_sub(drained).saturating_add(1_000);
        bucket.at = bucket.at.max(now);
        match bucket.amount.div_ceil(1_000) {
            amount if amount <= size => Conduct::Acceptable,
            amount if amount <= size * FLOOD => Conduct::Excessive,
            _ => Conduct::Flood,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_a_name_of_its_own() {
        let mut names = Limit::ALL.map(Limit::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), Limit::Pings.name()), (Limit::ALL.len(), "pings"));
    }

    #[test]
    fn a_burst_is_acceptable_more_is_excessive_and_ten_times_as_much_is_a_flood() {
        for limit in Limit::ALL {
            let mut limits = Limits::default();
            let (size, _) = limit.rate();
            let conducts: Vec<_> = (0..size * 11).map(|_| limits.count(limit, 7)).collect();
            let of = |conduct| conducts.iter().filter(|counted| **counted == conduct).count();
            let size = size as usize;
            assert_eq!(of(Conduct::Acceptable), size, "{}", limit.name());
            assert_eq!((of(Conduct::Excessive), of(Conduct::Flood)), (size * 9, size));
        }
    }

    #[test]
    fn a_steady_rate_is_acceptable_for_ever() {
        for limit in Limit::ALL {
            let mut limits = Limits::default();
            let (_, drain) = limit.rate();
            for number in 0..u64::from(drain) * 50 {
                let now = number * 1_000 / u64::from(drain);
                assert_eq!(limits.count(limit, now), Conduct::Acceptable, "{}", limit.name());
            }
        }
    }

    #[test]
    fn limits_do_not_add_up_and_time_that_goes_back_does_no_harm() {
        let mut limits = Limits::default();
        for limit in Limit::ALL {
            assert_eq!(limits.count(limit, 1_000), Conduct::Acceptable);
            assert_eq!(limits.count(limit, 0), Conduct::Acceptable);
            assert_eq!(limits.count(limit, u64::MAX), Conduct::Acceptable);
        }
    }
}
