//! A token bucket: so many connection attempts a second, and those of one second at once.

/// So many networks without a peer can use their whole budgets at once.
const NETWORKS_AT_ONCE: u32 = 64;

/// The budget that all networks without a peer share, where each has `rate`. Without it, forged
/// sources in ever new networks would each find a full budget.
#[inline(always)]
#[must_use]
pub const fn of_host(rate: u32) -> u32 {
    rate.saturating_mul(NETWORKS_AT_ONCE)
}

/// The remaining tokens of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket {
    /// The time of the last look, in milliseconds of the monotonic clock.
    pub stamp: u64,
    /// Thousandths of an attempt.
    pub millis: u64,
}

impl Bucket {
    /// A full bucket at `now`.
    #[inline(always)]
    #[must_use]
    pub const fn full(now: u64, rate: u32) -> Self {
        Self { stamp: now, millis: (rate as u64).wrapping_mul(1000) }
    }

    /// Takes one attempt at `now` (milliseconds), if one is left. Returns the bucket afterwards,
    /// and whether there was one. A bucket gains `rate` attempts a second and holds those of one
    /// second; from a clock that went back it gains nothing.
    #[inline(always)]
    #[must_use]
    pub fn take(self, now: u64, rate: u32) -> (Self, bool) {
        // At most one second counts, so nothing overflows.
        let elapsed = now.saturating_sub(self.stamp).min(1000);
        let full = u64::from(rate).wrapping_mul(1000);
        let gained = elapsed.wrapping_mul(u64::from(rate));
        let held = self.millis.saturating_add(gained).min(full);
        match held.checked_sub(1000) {
            Some(left) => (Self { stamp: now, millis: left }, true),
            None => (Self { stamp: now, millis: held }, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_the_budget_of_64_networks() {
        assert_eq!((of_host(0), of_host(1), of_host(1000)), (0, 64, 64_000));
        assert_eq!(of_host(u32::MAX), u32::MAX);
    }

    #[test]
    fn a_full_bucket_gives_the_attempts_of_one_second_and_then_refuses() {
        let mut bucket = Bucket::full(5000, 3);
        for expected in [true, true, true, false, false] {
            let (next, taken) = bucket.take(5000, 3);
            assert_eq!(taken, expected);
            bucket = next;
        }
        assert!(!bucket.take(5333, 3).1);
        assert!(bucket.take(5334, 3).1);
    }

    #[test]
    fn within_any_second_at_most_twice_the_rate_is_given() {
        let mut bucket = Bucket::full(0, 10);
        let mut given = 0;
        for now in 0..=1000 {
            let (next, taken) = bucket.take(now, 10);
            given += u32::from(taken);
            bucket = next;
        }
        assert_eq!(given, 20);
    }

    #[test]
    fn a_bucket_that_was_idle_for_long_holds_the_attempts_of_one_second() {
        for idle in [1000, 60_000, 1 << 63, u64::MAX] {
            let mut bucket = Bucket { stamp: 0, millis: 0 };
            let mut given = 0;
            for _ in 0..10 {
                let (next, taken) = bucket.take(idle, 4);
                given += u32::from(taken);
                bucket = next;
            }
            assert_eq!(given, 4, "after {idle} ms");
        }
    }

    #[test]
    fn a_rate_of_zero_gives_nothing_and_a_clock_that_went_back_gains_nothing() {
        assert!(!Bucket::full(0, 0).take(u64::MAX, 0).1);
        let empty = Bucket { stamp: 9000, millis: 0 };
        assert!(!empty.take(1000, 100).1);
    }
}
