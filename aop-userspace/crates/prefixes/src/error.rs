//! Why a list is refused as a whole. The list before it stays.

use std::{io, path::PathBuf};

use aop_common::layout::MAX_PREFIXES;

use super::{DocumentError, Refusal};

/// What is wrong with a list, and where it came from.
#[derive(Debug, thiserror::Error)]
pub enum PrefixError {
    /// The file cannot be read.
    #[error("{}: cannot read the prefix list: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What the file holds is no list.
    #[error("{}{error}. The whole list is refused", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// There is no list at the source, in the words of the process that asked it.
    #[error("{0}")]
    Fetch(String),
    /// The process that fetches has failed itself.
    #[error("{url}: the process that fetches the list brings nothing: {error}")]
    Errand {
        /// Where it was to ask.
        url: String,
        /// What happened.
        error: String,
    },
    /// It is a list, but not one to believe.
    #[error("{url}: {refusal}. The whole list is refused")]
    Refused {
        /// Where it came from.
        url: String,
        /// Why.
        refusal: Refusal,
    },
    /// More prefixes than the maps hold.
    #[error(
        "{count} prefixes of one family; at most {MAX_PREFIXES} fit. Join neighbours into shorter prefixes"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
}
