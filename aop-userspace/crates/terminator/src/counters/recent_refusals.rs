//! Recently refused peers, by address, for operators who look for a peer that should be served.
//! No decision depends on them.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use aop_tls::Refusal;

/// Entries that are kept: one for each address, site and reason.
const KEPT: usize = 64;

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
pub(super) struct Lately(HashMap<(IpAddr, Arc<str>, Refusal), Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Whether the address was admitted when it was last refused.
    admitted: bool,
    count: u64,
    last: u64,
}

impl Lately {
    /// Adds a refusal. A full table evicts addresses that are not admitted first, so that a flood
    /// of strangers does not hide an edge; among equals it evicts the least recently seen.
    pub(super) fn add(
        &mut self,
        address: IpAddr,
        site: &Arc<str>,
        refusal: Refusal,
        admitted: bool,
        now: u64,
    ) {
        let key = (address, site.clone(), refusal);
        if self.0.len() >= KEPT
            && !self.0.contains_key(&key)
            && let Some(evicted) = self
                .0
                .iter()
                .min_by_key(|(_, seen)| (seen.admitted, seen.last))
                .map(|(key, _)| key.clone())
        {
            self.0.remove(&evicted);
        }
        let seen = self.0.entry(key).or_insert(Seen { admitted, count: 0, last: now });
        (seen.admitted, seen.last) = (admitted, now);
        seen.count += 1;
    }

    /// All entries, the most recently seen first.
    pub(super) fn told(&self) -> Vec<RecentRefusal> {
        let peer = |((address, site, refusal), seen): (&(IpAddr, Arc<str>, Refusal), &Seen)| {
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
        let mut lately = Lately::default();
        let site: Arc<str> = "example.com".into();
        let refusal = Refusal::CertificateRequired;
        lately.add(address(200), &site, refusal, true, 0);
        for n in 0..100 {
            lately.add(address(n), &site, refusal, false, u64::from(n));
        }
        lately.add(address(99), &site, refusal, false, 200);
        let peers = lately.told();
        assert_eq!(peers.len(), KEPT);
        let first = (peers[0].address, peers[0].count, peers[0].last_seen);
        assert_eq!(first, (address(99), 2, 200));
        assert!(peers.iter().any(|it| it.address == address(200)));
        assert!(!peers.iter().any(|it| it.address == address(36)));
        assert!(peers.iter().any(|it| it.address == address(37)));
    }
}
