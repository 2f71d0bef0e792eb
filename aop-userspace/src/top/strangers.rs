//! Sampled drops, counted by source.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr, time::Duration};

use aop_firewall::DroppedPacket;

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

#[cfg(test)]
mod tests {
    use aop_common::Action;

    use super::*;

    fn drop(source: Option<IpAddr>) -> DroppedPacket {
        DroppedPacket {
            interface: "eth0".into(),
            action: Action::Drop,
            reason: "unknown_source",
            source,
            destination: None,
            port: Some(443),
            length: 60,
            headers: Vec::new(),
            answer: false,
        }
    }

    #[test]
    fn sources_are_counted_and_sorted_and_their_number_is_bounded() {
        let at = Duration::from_secs;
        let address = |n: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(n));
        let mut strangers = Strangers::default();
        for (second, n) in [(1, 7), (2, 7), (3, 9)] {
            strangers.count(&drop(Some(address(n))), at(second));
        }
        strangers.count(&drop(None), at(4));
        let order = |strangers: &Strangers, by| -> Vec<(IpAddr, u64)> {
            strangers.sorted(by).iter().map(|it| (it.address, it.drops)).collect()
        };
        assert_eq!(order(&strangers, StrangerOrder::Drops), [(address(7), 2), (address(9), 1)]);
        assert_eq!(order(&strangers, StrangerOrder::LastSeen), [(address(9), 1), (address(7), 2)]);
        assert_eq!(strangers.without_source, 1);
        for n in 0..100_000 {
            strangers.count(&drop(Some(address(n + 100))), at(5));
        }
        assert!(strangers.known.len() <= MAX_SOURCES && strangers.evicted > 90_000);
        assert_eq!(order(&strangers, StrangerOrder::Drops)[0], (address(7), 2));
    }
}
