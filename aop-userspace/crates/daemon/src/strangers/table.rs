//! The sources that no prefix admits, in bounded room.
//!
//! Single sources are kept. Where they become too many, those that came seldom are folded into
//! their network, and such networks into one sum: no packet is lost from the count. A source that
//! comes again and again outlives any flood of sources that come once.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    hash::Hash,
};

use aop_api::ActionName;
use aop_firewall::{SeenStranger, StrangerId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::rhythm::Rhythm;

/// Single sources that are kept.
pub(super) const MAX_SOURCES: usize = 4096;
/// Networks that are kept.
pub(super) const MAX_NETWORKS: usize = 1024;
/// Seconds after which a source is folded that does not come again.
const KEPT_FOR: u64 = 30 * 86_400;
/// Seconds that lie between two visits of a source at least.
const VISIT: u64 = 10;
/// Seconds after which a source that stays away counts as half as strong.
const HALF_LIFE: u64 = 7 * 86_400;

/// A source, or a network of sources, and the port that it sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) network: IpNet,
    pub(super) port: Option<u16>,
}

impl Place {
    fn of(id: StrangerId) -> Self {
        Self { network: IpNet::from(id.address), port: id.port }
    }

    /// The /24 or /48 around it.
    fn widened(self) -> Self {
        let length = if self.network.addr().is_ipv4() { 24 } else { 48 };
        let network = IpNet::new(self.network.addr(), length).unwrap_or(self.network).trunc();
        Self { network, ..self }
    }
}

/// Everything that is kept about a source. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) packets: u64,
    pub(super) connections: u64,
    /// Addresses: one, or those that were folded into a network.
    pub(super) addresses: u64,
    /// How often it came, with a pause between.
    visits: u64,
    visited: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) action: ActionName,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) rhythm: Rhythm,
}

impl Record {
    fn new(seen: &SeenStranger, now: u64) -> Self {
        let ago = |millis: u64| now.saturating_sub(millis / 1000);
        Self {
            packets: 0,
            connections: 0,
            addresses: 1,
            visits: 0,
            visited: 0,
            first: ago(seen.first_ago),
            last: ago(seen.last_ago),
            action: seen.action.into(),
            reason: seen.reason.to_owned(),
            rhythm: Rhythm::default(),
        }
    }

    fn count(&mut self, seen: &SeenStranger, now: u64) {
        let ago = |millis: u64| now.saturating_sub(millis / 1000);
        self.packets = self.packets.saturating_add(seen.packets);
        self.connections = self.connections.saturating_add(seen.opens);
        self.last = self.last.max(ago(seen.last_ago));
        (self.action, self.reason) = (seen.action.into(), seen.reason.to_owned());
        // A dropped SYN is sent again at growing intervals, which are not those of the source.
        if let Some(open) = seen.last_open_ago.filter(|_| self.action == ActionName::WouldDrop) {
            self.rhythm.count(seen.opens, ago(open));
        }
        if self.visits == 0 || self.visited + VISIT <= self.last {
            self.visits += 1;
            self.visited = self.last;
        }
    }

    fn fold(&mut self, other: Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.connections = self.connections.saturating_add(other.connections);
        self.addresses = self.addresses.saturating_add(other.addresses);
        self.visits = self.visits.max(other.visits);
        self.first = self.first.min(other.first);
        if other.last >= self.last {
            self.last = other.last;
            (self.action, self.reason) = (other.action, other.reason);
        }
    }

    /// The order in which records are kept: the largest first.
    fn strength(&self, now: u64) -> (u64, u64, u64) {
        let halvings = now.saturating_sub(self.last) / HALF_LIFE;
        (self.visits >> halvings.min(63), self.packets, self.last)
    }
}

/// The records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StrangerTable {
    pub(super) sources: HashMap<Place, Record>,
    pub(super) networks: HashMap<Place, Record>,
    /// Packets of sources that are no longer kept.
    pub(super) unlisted: u64,
    /// Packets that were counted and not recorded.
    pub(super) unrecorded: u64,
    /// The sum of the counters at the last reading; `None` before the first.
    pub(super) counted: Option<u64>,
}

impl StrangerTable {
    /// Counts `seen` at `now`, and makes room.
    pub(super) fn count(&mut self, seen: &[SeenStranger], now: u64) {
        for seen in seen.iter().filter(|seen| seen.packets > 0) {
            let new = || Record::new(seen, now);
            self.sources.entry(Place::of(seen.id)).or_insert_with(new).count(seen, now);
        }
        self.make_room(now);
    }

    /// Compares the packets that were counted in all, ever, with the `recorded` ones of this time.
    pub(super) fn compare(&mut self, counted: u64, recorded: u64) {
        if let Some(before) = self.counted {
            // Counters that were made anew began at zero.
            let more = counted.checked_sub(before).unwrap_or(counted);
            self.unrecorded = self.unrecorded.saturating_add(more).saturating_sub(recorded);
        }
        self.counted = Some(counted);
    }

    /// Of `ids`, those of which no record is kept.
    pub(super) fn without_record(&self, ids: impl Iterator<Item = StrangerId>) -> Vec<StrangerId> {
        let kept: HashSet<Place> = self.sources.keys().copied().collect();
        ids.filter(|id| !kept.contains(&Place::of(*id))).collect()
    }

    fn make_room(&mut self, now: u64) {
        for (place, record) in taken_out(&mut self.sources, MAX_SOURCES, now) {
            match self.networks.entry(place.widened()) {
                std::collections::hash_map::Entry::Occupied(mut known) => {
                    known.get_mut().fold(record);
                }
                std::collections::hash_map::Entry::Vacant(room) => {
                    room.insert(Record { rhythm: Rhythm::default(), ..record });
                }
            }
        }
        for (_, record) in taken_out(&mut self.networks, MAX_NETWORKS, now) {
            self.unlisted = self.unlisted.saturating_add(record.packets);
        }
    }
}

/// Takes out the records that are old and, where there are more than `most`, the weakest quarter at
/// once, so that not each new one needs a search.
fn taken_out(records: &mut HashMap<Place, Record>, most: usize, now: u64) -> Vec<(Place, Record)> {
    let is_old = |record: &Record| record.last + KEPT_FOR < now;
    let mut out: Vec<(Place, Record)> = records.extract_if(|_, record| is_old(record)).collect();
    if records.len() > most {
        let mut all: Vec<(Place, Record)> = records.drain().collect();
        all.sort_by_cached_key(|(place, record)| (Reverse(record.strength(now)), *place));
        out.extend(all.drain(most / 4 * 3..));
        records.extend(all);
    }
    out
}

#[cfg(test)]
pub(super) mod tests;
