//! Why a whole list is refused. The list in force stays.

use std::{io, path::PathBuf};

use aop_common::layout::MAX_PREFIXES;

use crate::{DocumentError, ListRefusal};

/// Why there is no usable list at a source.
#[derive(Debug, thiserror::Error)]
pub enum PrefixError {
    /// The file cannot be read.
    #[error("{}: cannot read the prefix list: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The file does not hold a list.
    #[error("{}{error}. The whole list is refused", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error in it.
        error: DocumentError,
    },
    /// The fetch failed; the text is from the fetch process.
    #[error("{0}")]
    Fetch(String),
    /// The fetch process itself failed.
    #[error("{url}: the fetch process returned no list: {error}")]
    FetchProcess {
        /// The URL to fetch.
        url: String,
        /// The reason.
        error: String,
    },
    /// The list is well-formed, but does not pass validation.
    #[error("{url}: {refusal}. The whole list is refused")]
    Refused {
        /// The URL of the list.
        url: String,
        /// The reason.
        refusal: ListRefusal,
    },
    /// More prefixes than the maps hold.
    #[error(
        "{count} prefixes of one family, but at most {MAX_PREFIXES} fit. Join adjacent prefixes"
    )]
    TooMany {
        /// Their number.
        count: usize,
    },
}
