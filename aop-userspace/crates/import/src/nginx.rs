//! nginx: from the output of `nginx -T`, or from one of its files, to a proposal.
//!
//! `dump` splits the output into files, `tokens` and `tree` read them, `includes` puts them
//! together, `servers` finds what each server block serves, `upstream` and `loopback` decide how
//! aop reaches it. A text that nginx would refuse is an error; everything else that cannot be taken
//! over is noted.

mod dump;
mod hazards;
mod includes;
mod listen;
mod loopback;
mod lua;
mod main_level;
mod names;
mod propose;
mod servers;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod upstream;

use std::{fmt, sync::Arc};

pub use propose::propose;

/// The most bytes that are read.
pub const MOST_BYTES: usize = 16 << 20;
/// The most words in all files together, those that are included twice counted twice.
const MOST_WORDS: usize = 1_000_000;
/// The most blocks and files inside each other.
const MOST_DEPTH: usize = 100;

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NginxError {
    /// It is larger than [`MOST_BYTES`].
    #[error("{name} has more than {MOST_BYTES} bytes: give only the files that matter")]
    TooLarge {
        /// Its name.
        name: String,
    },
    /// It is no configuration of nginx.
    #[error("{at}: {problem}")]
    Syntax {
        /// `FILE:LINE`.
        at: String,
        /// The problem, and what to do.
        problem: String,
    },
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    file: Arc<str>,
    line: u32,
}

impl Place {
    fn error(&self, problem: impl Into<String>) -> NginxError {
        NginxError::Syntax { at: self.to_string(), problem: problem.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
