//! The messages between the daemon and a fetch process. Both are of one build.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{ErrorText, EtagText, document::ListFormat};

/// The only request to a fetch process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FetchRequest {
    /// The URL of the list.
    pub(crate) url: String,
    /// The expected format.
    pub(crate) format: ListFormat,
    /// The ETag of the list that the daemon has.
    pub(crate) etag: Option<String>,
    /// The maximum length of the list in bytes.
    pub(crate) max_bytes: u64,
}

/// The only answer of a fetch process. Untrusted: the process parses input from the network.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FetchReply {
    /// The list has not changed.
    Unchanged,
    /// A list, parsed but not validated.
    List {
        /// Its prefixes.
        prefixes: Vec<IpNet>,
        /// The source's identifier of this version.
        etag: Option<EtagText>,
    },
    /// The list could not be fetched, for this reason.
    Failed(ErrorText),
}
