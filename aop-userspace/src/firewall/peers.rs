//! The peers map, written by the terminator's side alone.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use aop_common::{
    Address,
    layout::{Peer, PeerKey},
};
use aya::maps::{HashMap, MapData, MapError};

use super::{error::FirewallError, maps::Maps, pins::Pins};
use crate::edge::PeerBook;

/// The pinned peers map. The kernel forgets the least recently used peer when it is full.
pub struct PinnedPeers(Mutex<HashMap<MapData, PeerKey, Peer>>);

impl PinnedPeers {
    pub(super) fn open(pins: &Pins) -> Result<Self, FirewallError> {
        Ok(Self(Mutex::new(Maps::pinned(pins)?.peers)))
    }

    /// Whether this address has authenticated.
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&key(address), 0).is_ok()
    }
}

impl PeerBook for PinnedPeers {
    fn record(&self, address: IpAddr, site: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let key = key(address);
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match map.get(&key, 0) {
            Ok(known) => Some(known),
            Err(MapError::KeyNotFound) => None,
            Err(error) => return tracing::error!(%address, "cannot read the peers map: {error}"),
        };
        let peer = Peer::seen(known, now, site);
        if let Err(error) = map.insert(key, peer, 0) {
            tracing::error!(%address, "cannot record the peer: {error}");
        }
    }
}

pub(super) fn key(address: IpAddr) -> PeerKey {
    PeerKey::new(match address {
        IpAddr::V4(address) => Address::V4(address.octets()),
        IpAddr::V6(address) => Address::V6(address.octets()),
    })
}
