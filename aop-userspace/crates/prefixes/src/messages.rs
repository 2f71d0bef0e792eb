//! Asking for a list, and what came of it.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Form;

/// The one request to a process that fetches a list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListRequest {
    /// Where the list is.
    pub url: String,
    /// What it must look like.
    pub form: Form,
    /// The ETag header of the list that is known.
    pub known: Option<String>,
    /// How long it may be.
    pub(crate) most_bytes: u64,
}

/// Its one answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ListAnswer {
    /// The list that is known is still the one.
    Unchanged,
    /// A list. Whether it is to be believed is not said.
    List { prefixes: Vec<IpNet>, etag: Option<String> },
    /// There is no list, and why.
    Failed(String),
}
