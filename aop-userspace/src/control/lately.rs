//! Who was lately refused, and whether anybody was ever served, as the status tells it. The names are
//! stable: fields are added, never renamed.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Status;

/// An address that was refused lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPeer {
    /// The address.
    pub address: IpAddr,
    /// What admits it now: `list`, `extra` or `open` (by `aop open`); `null` where nothing does.
    pub admitted_by: Option<String>,
    /// The site, or `-` where none was found.
    pub site: String,
    /// Why.
    pub reason: String,
    /// How many connections.
    pub count: u64,
    /// When the last one was.
    pub last_seen: Timestamp,
}

impl Status {
    /// Whether somebody has authenticated for `site`, or for any: in this run or before, and not only
    /// this host itself (`aop doctor` does that).
    #[must_use]
    pub fn is_pulled(&self, site: Option<&str>) -> bool {
        let here = |of: &str| site.is_none_or(|site| site == of);
        let others = self.peers.iter().filter(|peer| !peer.address.is_loopback());
        let mut sites = others.map(|peer| peer.site.as_deref());
        if sites.any(|of| site.is_none() || of.is_some_and(here)) {
            return true;
        }
        let known = self.identities.iter().any(|it| it.pulls > 0 && here(&it.site));
        let counted = known || (site.is_none() && self.handshakes.accepted > 0);
        counted && !self.peers.iter().any(|peer| peer.address.is_loopback())
    }
}
