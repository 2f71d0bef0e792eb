//! The certificates that authenticated for a site. Only the most recent ones are kept.

use std::{collections::HashMap, sync::Arc};

use aop_tls::{IssuingCa, PeerIdentity};

/// Identities that are kept for each site.
pub(super) const IDENTITIES: usize = 64;

/// A certificate that authenticated for a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySighting {
    /// The site's name.
    pub site: Arc<str>,
    /// The certificate.
    pub identity: PeerIdentity,
    /// The client CA that issued it, as of its latest handshake.
    pub issuing_ca: Option<IssuingCa>,
    /// Seconds since 1970.
    pub first_seen: u64,
    /// Seconds since 1970.
    pub last_seen: u64,
    /// Handshakes.
    pub pulls: u64,
}

/// The identities of one site.
#[derive(Debug, Default)]
pub(super) struct IdentityTable {
    seen: HashMap<PeerIdentity, IdentityUse>,
    /// The number of evicted identities.
    forgotten: u64,
}

#[derive(Debug)]
struct IdentityUse {
    issuing_ca: Option<IssuingCa>,
    first: u64,
    last: u64,
    pulls: u64,
}

impl IdentityTable {
    /// Records a handshake at `now`.
    pub(super) fn record(
        &mut self,
        identity: &PeerIdentity,
        issuing_ca: Option<&IssuingCa>,
        now: u64,
    ) {
        match self.seen.get_mut(identity) {
            Some(seen) => {
                seen.last = now;
                seen.pulls += 1;
                if seen.issuing_ca.as_ref() != issuing_ca {
                    seen.issuing_ca = issuing_ca.cloned();
                }
            }
            None => {
                let issuing_ca = issuing_ca.cloned();
                self.add(
                    identity.clone(),
                    IdentityUse { issuing_ca, first: now, last: now, pulls: 1 },
                );
            }
        }
    }

    /// Adds an identity that an earlier run recorded.
    pub(super) fn restore(&mut self, sighting: IdentitySighting) {
        let IdentitySighting { site: _, identity, issuing_ca, first_seen, last_seen, pulls } =
            sighting;
        self.add(identity, IdentityUse { issuing_ca, first: first_seen, last: last_seen, pulls });
    }

    /// Adds an identity. If the site has too many, the least recently seen one is evicted.
    fn add(&mut self, identity: PeerIdentity, seen: IdentityUse) {
        if self.seen.len() >= IDENTITIES
            && let Some(oldest) =
                self.seen.iter().min_by_key(|(_, seen)| seen.last).map(|(id, _)| id.clone())
        {
            self.seen.remove(&oldest);
            self.forgotten += 1;
        }
        self.seen.insert(identity, seen);
    }

    /// The identities of `site`, the most recent first.
    pub(super) fn sightings(&self, site: &Arc<str>) -> Vec<IdentitySighting> {
        let sighting = |(identity, seen): (&PeerIdentity, &IdentityUse)| IdentitySighting {
            site: site.clone(),
            identity: identity.clone(),
            issuing_ca: seen.issuing_ca.clone(),
            first_seen: seen.first,
            last_seen: seen.last,
            pulls: seen.pulls,
        };
        let mut sightings: Vec<_> = self.seen.iter().map(sighting).collect();
        sightings.sort_by_key(|seen| std::cmp::Reverse(seen.last_seen));
        sightings
    }

    /// The number of evicted identities.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}
