//! Numbers, times and lines as text.

use jiff::Timestamp;

/// The lines, each with its end.
pub(crate) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

/// `1 site`, `2 sites`, `3 prefixes`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    match (number, thing.ends_with('x')) {
        (1, _) => format!("1 {thing}"),
        (_, true) => format!("{number} {thing}es"),
        (_, false) => format!("{number} {thing}s"),
    }
}

/// The day, such as 2026-07-01.
pub(crate) fn date(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d").to_string()
}

/// How long ago `moment` was.
pub(crate) fn ago(moment: Timestamp) -> String {
    duration_text(ago_seconds(moment))
}

/// The same in seconds.
pub(crate) fn ago_seconds(moment: Timestamp) -> u64 {
    u64::try_from(Timestamp::now().as_second() - moment.as_second()).unwrap_or(0)
}

/// Seconds in the two largest units.
pub(crate) fn duration_text(seconds: u64) -> String {
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
    fn things_are_counted_in_singular_and_plural() {
        assert_eq!(
            [count(1, "site"), count(0, "site"), count(2, "prefix")],
            ["1 site", "0 sites", "2 prefixes"]
        );
    }
}
