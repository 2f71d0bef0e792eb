//! Colours on a terminal.

use std::io::{self, IsTerminal};

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    On,
    Off,
}

/// The meaning of a text, which selects its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
}

impl Colours {
    /// On a terminal, unless NO_COLOR is set.
    pub(crate) fn of_stdout() -> Self {
        Self::of(&io::stdout())
    }

    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let wanted = stream.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        if wanted { Self::On } else { Self::Off }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }

    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Good => self.good(text),
            Tone::Bad => self.bad(text),
        }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(crate) fn head(self, text: &str) -> String {
        self.wrap("1", text)
    }
}
