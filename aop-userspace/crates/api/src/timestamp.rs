//! Times: in documents, and as people read them, in one form: how long ago or from now, and the
//! date.

use jiff::Timestamp;

/// The time `unix_seconds` after 1970; 1970 where that cannot be represented.
#[must_use]
pub fn timestamp(unix_seconds: u64) -> Timestamp {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `2026-07-01 15:04 UTC`.
#[must_use]
pub fn utc_text(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// `2 h 1 min ago (2026-07-01 15:04 UTC)`, or `in 3 d 0 h (2026-07-04 17:05 UTC)`.
#[must_use]
pub fn moment_text(moment: Timestamp, now: Timestamp) -> String {
    let seconds = moment.duration_since(now).as_secs();
    let (time, date) = (duration_text(seconds.unsigned_abs()), utc_text(moment));
    if seconds > 0 { format!("in {time} ({date})") } else { format!("{time} ago ({date})") }
}

/// `for 9 s (until 2026-07-01 15:04 UTC)`.
#[must_use]
pub fn until_text(until: Timestamp, now: Timestamp) -> String {
    let left = until.duration_since(now).as_secs().max(0).unsigned_abs();
    format!("for {} (until {})", duration_text(left), utc_text(until))
}

/// Seconds in the two largest units.
#[must_use]
pub fn duration_text(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_two_units() {
        assert_eq!(duration_text(59), "59 s");
        assert_eq!(duration_text(61), "1 min 1 s");
        assert_eq!(duration_text(7260), "2 h 1 min");
        assert_eq!(duration_text(90_000), "1 d 1 h");
    }

    #[test]
    fn a_time_has_the_duration_to_now_and_the_date() {
        let (now, later) = (timestamp(1_000_000), timestamp(1_090_000));
        assert_eq!(moment_text(now, later), "1 d 1 h ago (1970-01-12 13:46 UTC)");
        assert_eq!(moment_text(later, now), "in 1 d 1 h (1970-01-13 14:46 UTC)");
        assert_eq!(moment_text(now, now), "0 s ago (1970-01-12 13:46 UTC)");
        assert_eq!(until_text(later, now), "for 1 d 1 h (until 1970-01-13 14:46 UTC)");
        assert_eq!(until_text(now, later), "for 0 s (until 1970-01-12 13:46 UTC)");
    }
}
