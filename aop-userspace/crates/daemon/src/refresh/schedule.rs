//! When a list is fetched again. Waits are randomized, so that a thousand origins that lost the
//! same source do not all return in the same second.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// After the first failure; each further failure doubles it.
const SOONEST_RETRY: Duration = Duration::from_secs(60);
const LATEST_RETRY: Duration = Duration::from_secs(3600);

/// The first wait: until a list of that age is due; none without a list.
pub(crate) fn first(refresh: Duration, age_seconds: Option<u64>) -> Duration {
    age_seconds.map_or(Duration::ZERO, |age| refresh.saturating_sub(Duration::from_secs(age)))
}

/// Up to a tenth shorter than `refresh`.
pub(crate) fn after_success(refresh: Duration, jitter: f64) -> Duration {
    refresh.mul_f64(1.0 - jitter / 10.0)
}

/// From one minute to one hour, never longer than `refresh`, and up to a half shorter.
pub(crate) fn after_failure(refresh: Duration, failures: u32, jitter: f64) -> Duration {
    let doubled = SOONEST_RETRY * 2_u32.pow(failures.saturating_sub(1).min(6));
    doubled.min(LATEST_RETRY).min(refresh).mul_f64(1.0 - jitter / 2.0)
}

/// From 0 to 1. The hasher's random keys are random enough for this.
pub(crate) fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from((random >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: Duration = Duration::from_secs(12 * 3600);

    #[test]
    fn a_restart_does_not_fetch_what_was_fetched_an_hour_ago() {
        assert_eq!(first(HOURS, Some(3600)), Duration::from_secs(11 * 3600));
        assert_eq!(first(HOURS, Some(u64::MAX)), Duration::ZERO);
        assert_eq!(first(HOURS, None), Duration::ZERO);
    }

    #[test]
    fn retries_grow_from_a_minute_to_an_hour_and_never_exceed_the_refresh_interval() {
        let waits = [1, 2, 3, 6, 7, 8, u32::MAX]
            .map(|failures| after_failure(HOURS, failures, 0.0).as_secs());
        assert_eq!(waits, [60, 120, 240, 1920, 3600, 3600, 3600]);
        assert_eq!(after_failure(Duration::from_secs(300), 9, 0.0).as_secs(), 300);
        assert_eq!(after_failure(HOURS, 1, 1.0).as_secs(), 30);
        assert_eq!(after_success(HOURS, 1.0).as_secs(), 12 * 3600 * 9 / 10);
    }

    #[test]
    fn jitter_stays_between_zero_and_one() {
        assert!((0..1000).all(|_| (0.0..=1.0).contains(&jitter())));
    }
}
