//! Observe mode: the connections that a site would have refused. Names are stable: fields are
//! added, never renamed.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An unauthenticated connection from an admitted address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastObserved {
    /// The site.
    pub site: String,
    /// The refusal that enforcing would have caused.
    pub reason: String,
    /// The peer's address.
    pub address: IpAddr,
    /// Subject of the certificate that it presented, which was not verified; `null` where it
    /// presented none that can be read.
    pub presented: Option<String>,
    /// When the connection was made.
    pub at: Timestamp,
}
