//! The error of a data file.

use std::fmt::{self, Display, Formatter};

/// A line of a data file that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadShape {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The error in it.
    pub why: String,
}

impl BadShape {
    pub(super) fn new(file: &str, line: usize, why: String) -> Self {
        Self { file: file.to_owned(), line, why }
    }
}

impl Display for BadShape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { file, line, why } = self;
        write!(f, "{file}:{line}: {why}")
    }
}

impl std::error::Error for BadShape {}
