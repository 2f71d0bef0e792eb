//! Recently refused peers, by address, for operators who look for a peer that should be served.
//! No decision depends on them.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use aop_tls::Refusal;

use super::Origin;

/// Entries that are kept: one for each address, site and reason.
const MAX_ENTRIES: usize = 64;

/// An address that was refused recently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentRefusal {
    /// The address.
    pub address: IpAddr,
    /// The site's name, or `-` where no site was reached.
    pub site: Arc<str>,
    /// The reason.
    pub refusal: Refusal,
    /// Connections.
    pub count: u64,
    /// Seconds since 1970.
    pub last_seen: u64,
}

/// The recently refused peers.
#[derive(Debug, Default)]
pub(super) struct RecentRefusals(HashMap<(IpAddr, Arc<str>, Refusal), RefusalRecord>);

#[derive(Clone, Copy, Debug)]
struct RefusalRecord {
    /// The origin of its last refusal.
    origin: Origin,
    count: u64,
    last: u64,
}

impl RecentRefusals {
    /// Adds a refusal. A full table evicts addresses that are not admitted first, so that a flood
    /// of unknown addresses does not hide an edge; among equals it evicts the least recently seen.
    pub(super) fn record(
        &mut self,
        address: IpAddr,
        site: &Arc<str>,
        refusal: Refusal,
        origin: Origin,
        now: u64,
    ) {
        let key = (address, site.clone(), refusal);
        if self.0.len() >= MAX_ENTRIES
            && !self.0.contains_key(&key)
            && let Some(evicted) = self
                .0
                .iter()
                .min_by_key(|(_, seen)| (seen.origin, seen.last))
                .map(|(key, _)| key.clone())
        {
            self.0.remove(&evicted);
        }
        let seen = self.0.entry(key).or_insert(RefusalRecord { origin, count: 0, last: now });
        (seen.origin, seen.last) = (origin, now);
        seen.count += 1;
    }

    /// All entries, the most recently seen first.
    pub(super) fn entries(&self) -> Vec<RecentRefusal> {
        let peer =
            |((address, site, refusal), seen): (&(IpAddr, Arc<str>, Refusal), &RefusalRecord)| {
                let (site, refusal) = (site.clone(), *refusal);
                RecentRefusal {
                    address: *address,
                    site,
                    refusal,
                    count: seen.count,
                    last_seen: seen.last,
                }
            };
        let mut peers: Vec<RecentRefusal> = self.0.iter().map(peer).collect();
        peers.sort_by(|a, b| {
            let order = |it: &RecentRefusal| (std::cmp::Reverse(it.last_seen), it.address);
            order(a).cmp(&order(b)).then_with(|| a.refusal.name().cmp(b.refusal.name()))
        });
        peers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn a_flood_of_strangers_evicts_its_oldest_entries_and_no_admitted_address() {
        let mut recent = RecentRefusals::default();
        let site: Arc<str> = "example.com".into();
        let refusal = Refusal::CertificateRequired;
        recent.record(address(200), &site, refusal, Origin::Admitted, 0);
        for n in 0..100 {
            recent.record(address(n), &site, refusal, Origin::Other, u64::from(n));
        }
        recent.record(address(99), &site, refusal, Origin::Other, 200);
        let peers = recent.entries();
        assert_eq!(peers.len(), MAX_ENTRIES);
        let first = (peers[0].address, peers[0].count, peers[0].last_seen);
        assert_eq!(first, (address(99), 2, 200));
        assert!(peers.iter().any(|it| it.address == address(200)));
        assert!(!peers.iter().any(|it| it.address == address(36)));
        assert!(peers.iter().any(|it| it.address == address(37)));
    }
}
