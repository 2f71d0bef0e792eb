//! The messages between the daemon and a fetch process.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Form;

/// The only request to a fetch process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListRequest {
    /// The URL of the list.
    pub url: String,
    /// The expected format.
    pub form: Form,
    /// The ETag of the list that the daemon has.
    pub known: Option<String>,
    /// The maximum length in bytes.
    pub(crate) most_bytes: u64,
}

/// The only answer of a fetch process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ListAnswer {
    /// The list has not changed.
    Unchanged,
    /// A list, parsed but not validated.
    List { prefixes: Vec<IpNet>, etag: Option<String> },
    /// The list could not be fetched, for this reason.
    Failed(String),
}
