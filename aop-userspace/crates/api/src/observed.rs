//! Who would be refused where a site observes. The names are stable: fields are added, never renamed.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A connection from an admitted address that proved nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastObserved {
    /// The site.
    pub site: String,
    /// Why it would be refused.
    pub reason: String,
    /// From where it came.
    pub address: IpAddr,
    /// The subject of what it presented, which proves nothing; `null` where it presented nothing that
    /// can be read.
    pub presented: Option<String>,
    /// When it came.
    pub at: Timestamp,
}
