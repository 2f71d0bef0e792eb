//! The progress of a wave on standard error.

use std::io::{self, IsTerminal, Write};

/// One line that changes on a terminal, and one for each change
/// elsewhere.
pub(super) struct ProgressLine {
    quiet: bool,
    terminal: bool,
    last: String,
}

impl ProgressLine {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, terminal: io::stderr().is_terminal(), last: String::new() }
    }

    pub(super) fn show(&mut self, text: &str) {
        if self.quiet || self.last == text {
            return;
        }
        self.last = text.to_owned();
        if self.terminal {
            eprint!("\r\x1b[K{text}");
            io::stderr().flush().ok();
        } else {
            eprintln!("{text}");
        }
    }

    /// Removes what a terminal shows.
    pub(super) fn clear(&mut self) {
        if self.terminal && !self.last.is_empty() {
            eprint!("\r\x1b[K");
        }
        self.last.clear();
    }

    /// Leaves `text` as a line.
    pub(super) fn end(&mut self, text: &str) {
        if self.quiet || (!self.terminal && self.last == text) {
            return;
        }
        let back = if self.terminal { "\r\x1b[K" } else { "" };
        eprintln!("{back}{text}");
        self.last.clear();
    }
}
