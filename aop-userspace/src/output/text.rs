//! Numbers, times and lines as text.

use std::io::{self, IsTerminal};

use aop_api::{duration_text, moment_text};
use jiff::Timestamp;

use super::fold::{fold, terminal_columns};

/// The lines, each with its end. On a terminal they break between words.
pub(crate) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    let end = |line: String| line + "\n";
    if io::stdout().is_terminal() {
        let columns = terminal_columns();
        lines.into_iter().flat_map(|line| fold(&line, columns)).map(end).collect()
    } else {
        lines.into_iter().map(end).collect()
    }
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

/// How long ago `moment` was, for tables: `2 h 1 min`.
pub(crate) fn age(moment: Timestamp) -> String {
    duration_text(age_seconds(moment))
}

/// The same in seconds.
pub(crate) fn age_seconds(moment: Timestamp) -> u64 {
    u64::try_from(Timestamp::now().as_second() - moment.as_second()).unwrap_or(0)
}

/// How far `moment` is, for tables: `in 3 d 0 h`, or `2 h 1 min ago`.
pub(crate) fn distance(moment: Timestamp) -> String {
    let seconds = moment.duration_since(Timestamp::now()).as_secs();
    let time = duration_text(seconds.unsigned_abs());
    if seconds > 0 { format!("in {time}") } else { format!("{time} ago") }
}

/// `2 h 1 min ago (2026-07-01 15:04 UTC)`.
pub(crate) fn when(moment: Timestamp) -> String {
    moment_text(moment, Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted_in_singular_and_plural() {
        assert_eq!(
            [count(1, "site"), count(0, "site"), count(2, "prefix")],
            ["1 site", "0 sites", "2 prefixes"]
        );
    }
}
