//! The two clocks that aop counts seconds of.

use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

/// Seconds of CLOCK_MONOTONIC, the clock of the packet path.
#[must_use]
pub fn monotonic_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::MonotonicCoarse).tv_sec).unwrap_or(0)
}

/// Seconds since 1970, of the wall clock; 0 if it is set to an earlier time.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
