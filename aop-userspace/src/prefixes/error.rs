//! Why a list is refused as a whole. The list before it stays.

use std::{io, path::PathBuf};

use aop_common::layout::MAX_PREFIXES;

use super::{DocumentError, FetchError, Refusal};

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
    /// The list was not fetched.
    #[error("{url}: {error}")]
    Fetch {
        /// Where it was asked for.
        url: String,
        /// What happened.
        error: FetchError,
    },
    /// What was fetched is no list.
    #[error("{url}{error}. The whole list is refused")]
    Fetched {
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        error: DocumentError,
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
    #[error("{count} prefixes of one family; at most {MAX_PREFIXES} fit")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}
