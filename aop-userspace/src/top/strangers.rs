//! Sampled drops, counted by source, beside the strangers on record.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr, time::Duration};

use aop_api::StrangerStatus;
use aop_firewall::DroppedPacket;

use aop_api::duration_text;

use crate::output::age_seconds;

/// The most sources that are kept. In a flood from spoofed sources, those with the fewest drops are
/// forgotten.
const MAX_SOURCES: usize = 4096;

#[derive(Default)]
pub(super) struct Strangers {
    known: HashMap<IpAddr, Stranger>,
    /// Drops without a readable source.
    pub(super) without_source: u64,
    /// How many sources were forgotten to make room.
    pub(super) evicted: u64,
}

/// A source of drops.
#[derive(Clone, Debug)]
pub(super) struct Stranger {
    pub(super) address: IpAddr,
    /// Sampled drops.
    pub(super) drops: u64,
    /// Of the last drop, like `reason`, `port` and `last`.
    pub(super) action: &'static str,
    pub(super) reason: &'static str,
    pub(super) port: Option<u16>,
    /// The time on the caller's clock.
    pub(super) last: Duration,
}

/// The order of the sources, the largest or latest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrangerOrder {
    Drops,
    LastSeen,
}

impl Strangers {
    /// Counts `drop`, which was seen at `at`.
    pub(super) fn count(&mut self, drop: &DroppedPacket, at: Duration) {
        let Some(address) = drop.source else {
            self.without_source += 1;
            return;
        };
        if self.known.len() >= MAX_SOURCES && !self.known.contains_key(&address) {
            self.evict();
        }
        let (action, reason, port) = (drop.action.name(), drop.reason, drop.port);
        let drops = self.known.get(&address).map_or(0, |known| known.drops) + 1;
        let stranger = Stranger { address, drops, action, reason, port, last: at };
        self.known.insert(address, stranger);
    }

    /// Forgets half of the sources at once, so that not every new source needs a search for the
    /// smallest.
    fn evict(&mut self) {
        let mut kept = self.sorted(StrangerOrder::Drops);
        kept.truncate(MAX_SOURCES / 2);
        self.evicted += (self.known.len() - kept.len()) as u64;
        self.known = kept.into_iter().map(|stranger| (stranger.address, stranger)).collect();
    }

    pub(super) fn sorted(&self, order: StrangerOrder) -> Vec<Stranger> {
        let mut all: Vec<Stranger> = self.known.values().cloned().collect();
        all.sort_by_key(|stranger| {
            let Stranger { address, drops, last, .. } = stranger;
            match order {
                StrangerOrder::Drops => (Reverse(u128::from(*drops)), *address),
                StrangerOrder::LastSeen => (Reverse(last.as_nanos()), *address),
            }
        });
        all
    }
}

/// A source in the pane of strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StrangerRow {
    pub(super) source: String,
    /// Drops that were sampled since `aop top` began.
    pub(super) samples: u64,
    /// Packets on record.
    pub(super) recorded: u64,
    /// Seconds since the last packet.
    pub(super) age: u64,
    pub(super) port: Option<u16>,
    pub(super) remark: String,
}

/// The sources of `sampled` drops and those on `record`, in this `order`. `at` is the time on the
/// clock of the samples.
pub(super) fn merged(
    sampled: &[Stranger],
    record: &[StrangerStatus],
    at: Duration,
    order: StrangerOrder,
) -> Vec<StrangerRow> {
    let mut rows: HashMap<(String, Option<u16>), StrangerRow> = HashMap::new();
    for it in record {
        let age = age_seconds(it.last_seen);
        let remark = remark(it.action.as_str(), &it.reason) + &known(it);
        let (source, port) = (it.source.clone(), it.port);
        let row = StrangerRow { source, samples: 0, recorded: it.packets, age, port, remark };
        rows.insert((it.source.clone(), it.port), row);
    }
    for it in sampled {
        let source = it.address.to_string();
        let age = at.saturating_sub(it.last).as_secs();
        let key = (source.clone(), it.port);
        let row = rows.entry(key).or_insert_with(|| StrangerRow {
            source,
            samples: 0,
            recorded: 0,
            age,
            port: it.port,
            remark: remark(it.action, it.reason),
        });
        (row.samples, row.age) = (it.drops, row.age.min(age));
    }
    let mut rows: Vec<StrangerRow> = rows.into_values().collect();
    rows.sort_by(|one, other| {
        let by_drops = (other.samples, other.recorded).cmp(&(one.samples, one.recorded));
        let by_order = match order {
            StrangerOrder::Drops => by_drops,
            StrangerOrder::LastSeen => one.age.cmp(&other.age).then(by_drops),
        };
        by_order.then_with(|| one.source.cmp(&other.source))
    });
    rows
}

fn remark(action: &str, reason: &str) -> String {
    format!("{} {reason}", action.replace('_', " "))
}

/// The kind of the source, if it is known.
fn known(stranger: &StrangerStatus) -> String {
    let known = stranger.known.as_ref().map(|known| format!(", {known}"));
    let admitted = stranger.admitted_by.as_ref().map(|by| format!(", admitted now: {by}"));
    let every = stranger.every_seconds.map(|every| format!(", every {}", duration_text(every)));
    [known, admitted, every].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use aop_api::StrangerKind;
    use jiff::Timestamp;

    use super::*;
    use crate::output::dropped_packet;

    #[test]
    fn sources_are_counted_and_sorted_and_their_number_is_bounded() {
        let at = Duration::from_secs;
        let address = |n: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(n));
        let mut strangers = Strangers::default();
        for (second, n) in [(1, 7), (2, 7), (3, 9)] {
            strangers.count(&dropped_packet(Some(address(n)), 0), at(second));
        }
        strangers.count(&dropped_packet(None, 0), at(4));
        let order = |strangers: &Strangers, by| -> Vec<(IpAddr, u64)> {
            strangers.sorted(by).iter().map(|it| (it.address, it.drops)).collect()
        };
        assert_eq!(order(&strangers, StrangerOrder::Drops), [(address(7), 2), (address(9), 1)]);
        assert_eq!(order(&strangers, StrangerOrder::LastSeen), [(address(9), 1), (address(7), 2)]);
        assert_eq!(strangers.without_source, 1);
        for n in 0..100_000 {
            strangers.count(&dropped_packet(Some(address(n + 100)), 0), at(5));
        }
        assert!(strangers.known.len() <= MAX_SOURCES && strangers.evicted > 90_000);
        assert_eq!(order(&strangers, StrangerOrder::Drops)[0], (address(7), 2));
    }

    #[test]
    fn a_source_that_is_sampled_and_on_record_has_one_row() {
        let mut strangers = Strangers::default();
        let address: IpAddr = [192, 0, 2, 7].into();
        strangers.count(&dropped_packet(Some(address), 0), Duration::from_secs(1));
        strangers.count(&dropped_packet(Some([192, 0, 2, 8].into()), 0), Duration::from_secs(9));
        let recorded = |source: &str, packets| StrangerStatus {
            source: source.to_owned(),
            port: Some(443),
            packets,
            connections: 1,
            addresses: 1,
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
            action: "would_drop".into(),
            reason: "unknown_source".to_owned(),
            every_seconds: Some(60),
            admitted_by: None,
            known: Some(StrangerKind::Regular),
        };
        let record = [recorded("192.0.2.7", 50), recorded("198.51.100.0/24", 900)];
        let rows = |order| -> Vec<(String, u64, u64)> {
            let (at, sampled) = (Duration::from_secs(10), strangers.sorted(order));
            let rows = merged(&sampled, &record, at, order).into_iter();
            rows.map(|row| (row.source, row.samples, row.recorded)).collect()
        };
        let row = |source: &str, samples, recorded| (source.to_owned(), samples, recorded);
        let [seven, eight, net] =
            [row("192.0.2.7", 1, 50), row("192.0.2.8", 1, 0), row("198.51.100.0/24", 0, 900)];
        assert_eq!(rows(StrangerOrder::Drops), [seven.clone(), eight.clone(), net.clone()]);
        assert_eq!(rows(StrangerOrder::LastSeen), [eight, seven, net]);
        let shown = merged(&[], &record, Duration::ZERO, StrangerOrder::Drops);
        assert_eq!(shown[0].remark, "would drop unknown_source, regular, every 1 min 0 s");
    }
}
