//! Reads the sources that no prefix admits, which the packet path records.

use std::net::IpAddr;

pub use aop_common::layout::MAX_STRANGERS;
use aop_common::{
    Action, Tally,
    layout::{StrangerKey, StrangerValue},
};
use aya::{
    maps::{HashMap, Map, MapData, MapError},
    sys::SyscallError,
};
use rustix::time::{ClockId, clock_gettime};

use super::{error::FirewallError, peers, pins::Pins};

/// BPF_EXIST: the entry must exist.
const EXIST: u64 = 2;

/// The map of strangers. Reading begins each count anew, so only one process may read.
pub struct StrangerReader(HashMap<MapData, StrangerKey, StrangerValue>);

/// A source that no prefix admits, and the guarded port that it sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrangerId {
    /// The address.
    pub address: IpAddr,
    /// The port; `None` where it cannot be known, as of a fragment.
    pub port: Option<u16>,
}

/// The packets of a stranger since the last reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenStranger {
    /// The source and the port.
    pub id: StrangerId,
    /// Packets that were recorded: all of them in observe, unless the source is new and many
    /// others are; some of them in enforce.
    pub packets: u64,
    /// Those of them that ask for a new connection.
    pub opens: u64,
    /// Milliseconds since the first packet of the entry.
    pub first_ago: u64,
    /// Milliseconds since the last packet.
    pub last_ago: u64,
    /// Milliseconds since the last packet that opens a connection; `None` if there was none.
    pub last_open_ago: Option<u64>,
    /// The action for the last packet.
    pub action: Action,
    /// Its reason's stable name.
    pub reason: &'static str,
}

impl StrangerReader {
    pub(super) fn pinned(pins: &Pins) -> Result<Self, FirewallError> {
        let open = || Map::from_map_data(MapData::from_pin(pins.map("SEEN_STRANGERS"))?);
        Self::of(open().map_err(|error| FirewallError::kernel("open SEEN_STRANGERS", &error))?)
    }

    pub(super) fn of(map: Map) -> Result<Self, FirewallError> {
        let map = map.try_into();
        map.map(Self).map_err(|error| FirewallError::kernel("open SEEN_STRANGERS", &error))
    }

    /// Every stranger that has an entry, with its packets since the last reading; some have sent
    /// none. A packet that is counted at the same moment may be missing.
    ///
    /// # Errors
    /// The kernel refuses to read or to write.
    pub fn read(&mut self) -> Result<Vec<SeenStranger>, FirewallError> {
        let now = now();
        let mut seen = Vec::new();
        // Packets may add and remove entries meanwhile, and a walk over a removed key begins again.
        let keys: Vec<_> = self.0.keys().take(2 * MAX_STRANGERS).flatten().collect();
        for key in keys {
            let value = match self.0.get(&key, 0) {
                Ok(value) => value,
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(failed(&error)),
            };
            let Some(stranger) = stranger(key, value, now) else { continue };
            seen.push(stranger);
            if value.packets == 0 {
                continue;
            }
            // A packet never removes an entry, so it is there.
            self.0.insert(key, value.read(), EXIST).map_err(|error| failed(&error))?;
        }
        Ok(seen)
    }

    /// Removes the entries of `strangers`, to make room for others.
    ///
    /// # Errors
    /// The kernel refuses to write.
    pub fn remove(
        &mut self,
        strangers: impl IntoIterator<Item = StrangerId>,
    ) -> Result<(), FirewallError> {
        for StrangerId { address, port } in strangers {
            match self.0.remove(&StrangerKey::new(peers::wire(address), port)) {
                Ok(()) => {}
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }
}

/// Whether there is no entry of that key. A removal says so by the error of the system call.
fn is_missing(error: &MapError) -> bool {
    use std::io::ErrorKind::NotFound;
    let by_syscall = |error: &SyscallError| error.io_error.kind() == NotFound;
    matches!(error, MapError::KeyNotFound)
        || matches!(error, MapError::SyscallError(error) if by_syscall(error))
}

fn failed(error: &MapError) -> FirewallError {
    FirewallError::kernel("read SEEN_STRANGERS", error)
}

fn id(key: StrangerKey) -> Option<StrangerId> {
    Some(StrangerId { address: key.source()?.into(), port: key.known_port() })
}

/// `None` where no packet path has written the entry.
fn stranger(key: StrangerKey, value: StrangerValue, now: u64) -> Option<SeenStranger> {
    let (_, verdict, mode) = Tally::all().find(|(tally, ..)| tally.index() == value.tally)?;
    let ago = |then: u64| now.saturating_sub(then);
    Some(SeenStranger {
        id: id(key)?,
        packets: value.packets,
        opens: value.opens,
        first_ago: ago(value.first),
        last_ago: ago(value.last),
        last_open_ago: (value.last_open > 0).then(|| ago(value.last_open)),
        action: verdict.action(mode),
        reason: verdict.reason(),
    })
}

/// Milliseconds of the clock that the packet program uses.
fn now() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}
