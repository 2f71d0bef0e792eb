//! Recently refused addresses in the status, and whether a peer was ever served.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Status;
use crate::AdmissionSource;

/// An address that was refused recently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPeer {
    /// The address.
    pub address: IpAddr,
    /// The rule that admits it now without authentication: the list, `firewall.extra` or an
    /// opening; `null` if none does.
    pub admitted_by: Option<AdmissionSource>,
    /// The site, or `-` where none was found.
    pub site: String,
    /// The refusal's stable name, from the table of refusals.
    pub reason: String,
    /// Number of connections.
    pub count: u64,
    /// When the last one was refused.
    pub last_seen: Timestamp,
}

impl Status {
    /// Whether a peer has authenticated for `site`, or for any site, in this run or an earlier one.
    /// Pulls of this host itself do not count (`aop doctor` makes some).
    #[must_use]
    pub fn is_pulled(&self, site: Option<&str>) -> bool {
        let here = |of: &str| site.is_none_or(|site| site == of);
        let others = self.peers.iter().filter(|peer| !peer.address.is_loopback());
        let mut sites = others.map(|peer| peer.site.as_deref());
        if sites.any(|of| site.is_none() || of.is_some_and(here)) {
            return true;
        }
        let own = self.peers.iter().filter(|peer| peer.address.is_loopback());
        let own: u64 = own.map(|peer| peer.handshakes).sum();
        let known = self.identities.iter().any(|it| it.pulls > own && here(&it.site));
        known || (site.is_none() && self.handshakes.accepted > own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdentityLevel, PeerStatus, SeenIdentity};

    #[test]
    fn pulls_of_this_host_are_subtracted_and_the_rest_counts() {
        let then = Timestamp::UNIX_EPOCH;
        let mut status = Status::nothing();
        assert!(!status.is_pulled(None));
        status.peers = vec![PeerStatus {
            address: [127, 0, 0, 1].into(),
            site: Some("a".to_owned()),
            handshakes: 2,
            first_seen: then,
            last_seen: then,
        }];
        status.identities = vec![SeenIdentity {
            site: "a".to_owned(),
            subject: String::new(),
            issuer: String::new(),
            spki_sha256: String::new(),
            serial: String::new(),
            not_before: then,
            not_after: then,
            level: IdentityLevel::Own,
            client_ca: None,
            first_seen: then,
            last_seen: then,
            pulls: 2,
            roll: None,
        }];
        assert!(!status.is_pulled(Some("a")) && !status.is_pulled(None));
        status.identities[0].pulls = 3;
        assert!(status.is_pulled(Some("a")) && status.is_pulled(None));
        assert!(!status.is_pulled(Some("b")));
    }
}
