//! The maps of authenticated peers, which only the terminator process writes.

use std::{
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aop_common::{
    Address,
    layout::{PeerKey, PeerValue, hint},
};
use aop_types::{PeerRecord, monotonic_seconds};
use aya::maps::{Array, HashMap, Map, MapData, MapError};

use super::{error::FirewallError, pins::Pins};

/// How long an authenticated peer exempts its network from the budget, in seconds.
const LATELY: u64 = 24 * 3600;

/// The pinned maps of peers, and of networks in which a peer has authenticated. When a map is full,
/// the kernel drops the least recently used entry.
pub struct PinnedPeers {
    maps: Mutex<Written>,
    /// How many seconds an address stays admitted outside of all prefixes after a peer
    /// authenticated from it.
    trust: AtomicU64,
}

struct Written {
    peers: HashMap<MapData, PeerKey, PeerValue>,
    hints: Array<MapData, u32>,
    networks: HashMap<MapData, PeerKey, u64>,
}

/// The pinned maps of [`PinnedPeers`] as open files, for the process that writes them.
#[derive(Debug)]
pub struct PeerFiles {
    peers: OwnedFd,
    hints: OwnedFd,
    networks: OwnedFd,
}

impl PeerFiles {
    pub(super) fn open(pins: &Pins) -> Result<Self, FirewallError> {
        let open = |name| {
            let opened = MapData::from_pin(pins.map(name));
            let data =
                opened.map_err(|error| FirewallError::kernel("open the peers map", &error))?;
            let path = pins.map(name);
            data.fd().as_fd().try_clone_to_owned().map_err(|error| FirewallError::pin(path, error))
        };
        Ok(Self { peers: open("PEERS")?, hints: open("PEERS_HINTS")?, networks: open("NETWORKS")? })
    }

    /// In the order of [`PeerFiles::from_files`].
    #[must_use]
    pub fn into_files(self) -> [OwnedFd; 3] {
        [self.peers, self.hints, self.networks]
    }

    /// The first three of `files`, if there are three.
    pub fn from_files(files: &mut impl Iterator<Item = OwnedFd>) -> Option<Self> {
        Some(Self { peers: files.next()?, hints: files.next()?, networks: files.next()? })
    }
}

impl PinnedPeers {
    /// Uses the maps that [`PeerFiles`] has opened, perhaps in another process. Needs no privilege.
    ///
    /// # Errors
    /// The files are not such maps.
    pub fn adopt(files: PeerFiles) -> Result<Self, FirewallError> {
        let open = |file| Map::from_map_data(MapData::from_fd(file)?);
        let written = || -> Result<_, MapError> {
            Ok(Written {
                peers: open(files.peers)?.try_into()?,
                hints: open(files.hints)?.try_into()?,
                networks: open(files.networks)?.try_into()?,
            })
        };
        let written = written().map_err(|error| {
            FirewallError::kernel("use the peers map that was handed over", &error)
        })?;
        Ok(Self { maps: Mutex::new(written), trust: AtomicU64::new(0) })
    }

    /// Sets how long an address stays admitted outside of all prefixes after a peer authenticated
    /// from it.
    pub fn trust_for(&self, trust: Duration) {
        self.trust.store(trust.as_secs(), Ordering::Relaxed);
    }
}

impl PeerRecord for PinnedPeers {
    fn record(&self, address: IpAddr, site: &str) {
        let now = aop_types::unix_seconds();
        let key = key(address);
        let monotonic = monotonic_seconds();
        let trusted_until = monotonic + self.trust.load(Ordering::Relaxed);
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let Written { peers, hints, networks } = &mut *maps;
        let known = match peers.get(&key, 0) {
            Ok(known) => Some(known),
            Err(MapError::KeyNotFound) => None,
            Err(error) => return tracing::error!(%address, "cannot read the peers map: {error}"),
        };
        let peer = PeerValue::seen(known, now, site, trusted_until);
        let network = PeerKey::network(wire(address));
        let recorded = peers
            .insert(key, peer, 0)
            .and_then(|()| hint_at(hints, address, trusted_until))
            .and_then(|()| networks.insert(network, monotonic + LATELY, 0));
        if let Err(error) = recorded {
            tracing::error!(%address, "cannot record the peer: {error}");
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        maps.peers.get(&key(address), 0).is_ok()
    }
}

/// Writes the hint that makes the packet program look for this peer until `trusted_until`.
pub(super) fn hint_at(
    hints: &mut Array<MapData, u32>,
    address: IpAddr,
    trusted_until: u64,
) -> Result<(), MapError> {
    let place = hint(wire(address));
    let until = u32::try_from(trusted_until).unwrap_or(u32::MAX);
    if hints.get(&place, 0)? < until { hints.set(place, until, 0) } else { Ok(()) }
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
