//! Lines that fit a terminal: they break between words only. A word that is longer than a line
//! stays whole, so that it can be copied.

use std::io::{self, IsTerminal};

use ratatui::crossterm::terminal;

/// The columns where the output is no terminal.
const COLUMNS: usize = 80;
/// The fewest columns to fit, however narrow the terminal is.
const NARROWEST: usize = 40;

/// The columns of the terminal; 80 where the output is none.
pub(crate) fn terminal_columns() -> usize {
    match io::stdout().is_terminal().then(terminal::size) {
        Some(Ok((columns, _))) if columns > 0 => usize::from(columns).max(NARROWEST),
        Some(_) | None => COLUMNS,
    }
}

/// Breaks `line` where it is longer than `columns`. Its other lines are indented two columns more
/// than its first one.
pub(crate) fn fold(line: &str, columns: usize) -> Vec<String> {
    if visible_columns(line) <= columns {
        return vec![line.to_owned()];
    }
    let text = line.trim_start();
    let indent = line.len() - text.len();
    hanging(&" ".repeat(indent), &" ".repeat(indent + 2), text, columns)
}

/// Breaks `text`: the first line starts with `first`, the others with `rest`.
pub(crate) fn hanging(first: &str, rest: &str, text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut fresh = true;
    for word in text.split_whitespace() {
        if !fresh && visible_columns(&line) + 1 + visible_columns(word) > columns {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line += word;
        fresh = false;
    }
    lines.push(line);
    lines
}

/// The characters of `text` without its colours.
fn visible_columns(text: &str) -> usize {
    let mut in_escape = false;
    let mut columns = 0;
    for letter in text.chars() {
        match (in_escape, letter) {
            (false, '\u{1b}') => in_escape = true,
            (true, 'm') => in_escape = false,
            (true, _) => {}
            (false, _) => columns += 1,
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_long_words_stay_whole() {
        let long = "x".repeat(100);
        let text = format!("{} {long} end", "word ".repeat(30));
        let lines = hanging("  a ", "    ", &text, 80);
        assert!(lines.iter().all(|line| line.chars().count() <= 80 || line.trim() == long));
        let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        let wanted: Vec<&str> = ["a"].into_iter().chain(text.split_whitespace()).collect();
        assert_eq!(words, wanted);
    }

    #[test]
    fn only_a_line_that_is_too_long_is_broken_and_colours_take_no_columns() {
        let row = "  drop       unknown_source     12 packets";
        assert_eq!(fold(row, 80), [row]);
        let coloured = format!("\u{1b}[1;31m{}\u{1b}[0m", "x".repeat(80));
        assert_eq!(fold(&coloured, 80), std::slice::from_ref(&coloured));
        assert_eq!(fold("  one two three", 9), ["  one two", "    three"]);
    }
}
