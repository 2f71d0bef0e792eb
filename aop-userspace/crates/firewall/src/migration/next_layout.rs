//! The conversions from layout 6 to the one of the feature `next-layout`, an example for the tests:
//! its peers have a field more, and each interface has room for more counters.

use aop_common::{
    Tally,
    layout::{Counter, PeerKey, PeerValue, SLOTS},
};
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};

use super::{Conversion, FirewallError, Pins};

/// The counters of an interface in layout 6.
const COUNT: u32 = 64;

pub(super) fn conversion(name: &str) -> Option<Conversion> {
    match name {
        "PEERS" => Some(Conversion::Before(|older, pins| {
            peers(older, pins).map_err(|error| FirewallError::kernel("convert PEERS", &error))
        })),
        "VERDICTS" => Some(Conversion::After(|older, pins| {
            counters(older, pins).map_err(|error| FirewallError::kernel("convert VERDICTS", &error))
        })),
        _ => None,
    }
}

fn open(pins: &Pins, name: &str) -> Result<Map, MapError> {
    Map::from_map_data(MapData::from_pin(pins.map(name))?)
}

fn peers(older: &Pins, pins: &Pins) -> Result<(), MapError> {
    let old: HashMap<MapData, PeerKey, [u64; 5]> = open(older, "PEERS")?.try_into()?;
    let mut new: HashMap<MapData, PeerKey, PeerValue> = open(pins, "PEERS")?.try_into()?;
    for peer in old.iter() {
        let (key, [first_seen, last_seen, handshakes, site, trusted_until]) = peer?;
        let spare = 0;
        let value = PeerValue { first_seen, last_seen, handshakes, site, trusted_until, spare };
        new.insert(key, value, 0)?;
    }
    Ok(())
}

/// Adds the old counts to those of the new programs. A packet that is counted at the same moment
/// may be missing.
fn counters(older: &Pins, pins: &Pins) -> Result<(), MapError> {
    let old: PerCpuArray<MapData, Counter> = open(older, "VERDICTS")?.try_into()?;
    let mut new: PerCpuArray<MapData, Counter> = open(pins, "VERDICTS")?.try_into()?;
    for index in 0..SLOTS * COUNT {
        let before = old.get(&index, 0)?;
        if before.iter().all(|counter| *counter == Counter::default()) {
            continue;
        }
        let place = index / COUNT * Tally::COUNT + index % COUNT;
        let now = new.get(&place, 0)?;
        let sum = before.iter().zip(now.iter()).map(|(before, now)| Counter {
            packets: before.packets + now.packets,
            bytes: before.bytes + now.bytes,
        });
        new.set(place, PerCpuValues::try_from(sum.collect::<Vec<_>>())?, 0)?;
    }
    Ok(())
}
