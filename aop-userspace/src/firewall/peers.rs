//! The peers map, written by the terminator's side alone.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aop_common::{
    Address,
    layout::{Peer, PeerKey},
};
use aya::maps::{HashMap, MapData, MapError};

use super::{error::FirewallError, maps::Maps, pins::Pins};
use crate::{edge::PeerBook, prefixes::monotonic_seconds};

/// How long an authenticated peer keeps its network free of a budget.
const LATELY: u64 = 24 * 3600;

/// The pinned peers map, and the networks in which somebody has authenticated. The kernel forgets
/// the least recently used entry when a map is full.
pub struct PinnedPeers {
    maps: Mutex<Written>,
    /// For how many seconds who authenticates is trusted outside of any prefix.
    trust: AtomicU64,
}

struct Written {
    peers: HashMap<MapData, PeerKey, Peer>,
    networks: HashMap<MapData, PeerKey, u64>,
}

impl PinnedPeers {
    pub(super) fn open(pins: &Pins) -> Result<Self, FirewallError> {
        let Maps { peers, networks, .. } = Maps::pinned(pins)?;
        Ok(Self { maps: Mutex::new(Written { peers, networks }), trust: AtomicU64::new(0) })
    }

    /// From now on, who authenticates is trusted for so long outside of any prefix.
    pub fn trust_for(&self, trust: Duration) {
        self.trust.store(trust.as_secs(), Ordering::Relaxed);
    }

    /// Whether this address has authenticated.
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        maps.peers.get(&key(address), 0).is_ok()
    }
}

impl PeerBook for PinnedPeers {
    fn record(&self, address: IpAddr, site: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let key = key(address);
        let monotonic = monotonic_seconds();
        let trusted_until = monotonic + self.trust.load(Ordering::Relaxed);
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let Written { peers, networks } = &mut *maps;
        let known = match peers.get(&key, 0) {
            Ok(known) => Some(known),
            Err(MapError::KeyNotFound) => None,
            Err(error) => return tracing::error!(%address, "cannot read the peers map: {error}"),
        };
        let peer = Peer::seen(known, now, site, trusted_until);
        let network = PeerKey::network(wire(address));
        let recorded = peers
            .insert(key, peer, 0)
            .and_then(|()| networks.insert(network, monotonic + LATELY, 0));
        if let Err(error) = recorded {
            tracing::error!(%address, "cannot record the peer: {error}");
        }
    }
}

pub(super) fn key(address: IpAddr) -> PeerKey {
    PeerKey::new(wire(address))
}

pub(super) fn wire(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => Address::V4(address.octets()),
        IpAddr::V6(address) => Address::V6(address.octets()),
    }
}
