//! The record of authenticated peers.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use aop_common::layout::{MAX_PEERS, PeerValue};
use aop_firewall::PinnedPeers;
use aop_types::{PeerEntry, PeerRecord, unix_seconds};
use parking_lot::Mutex;

/// The map that the packet path reads, or memory where the firewall is off.
pub(crate) enum PeerStore {
    /// The map that the packet path reads.
    Pinned(Box<PinnedPeers>),
    /// Memory of this process.
    Memory(Mutex<HashMap<IpAddr, PeerValue>>),
}

impl Default for PeerStore {
    fn default() -> Self {
        Self::Memory(Mutex::default())
    }
}

impl PeerStore {
    /// Sets how long an address outside of every prefix stays admitted after a peer authenticated
    /// from it. Without a firewall it is never admitted.
    pub(super) fn trust_for(&self, trust: Duration) {
        if let Self::Pinned(pinned) = self {
            pinned.trust_for(trust);
        }
    }

    /// The peers in memory, the latest first. The peers in the map are read with the other maps.
    pub(super) fn in_memory(&self) -> Vec<PeerEntry> {
        let Self::Memory(known) = self else { return Vec::new() };
        let known = known.lock();
        let mut peers: Vec<PeerEntry> = known
            .iter()
            .map(|(address, facts)| PeerEntry { address: *address, facts: *facts })
            .collect();
        peers.sort_by_key(|peer| (std::cmp::Reverse(peer.facts.last_seen), peer.address));
        peers
    }
}

impl PeerRecord for PeerStore {
    fn record(&self, address: IpAddr, site: &str) {
        let known = match self {
            Self::Pinned(pinned) => return pinned.record(address, site),
            Self::Memory(known) => known,
        };
        let mut known = known.lock();
        if known.len() >= MAX_PEERS
            && !known.contains_key(&address)
            && let Some(oldest) =
                known.iter().min_by_key(|(_, peer)| peer.last_seen).map(|(address, _)| *address)
        {
            known.remove(&oldest);
        }
        let before = known.get(&address).copied();
        known.insert(address, PeerValue::seen(before, unix_seconds(), site, 0));
    }

    fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Pinned(pinned) => pinned.contains(address),
            Self::Memory(known) => known.lock().contains_key(&address),
        }
    }
}
