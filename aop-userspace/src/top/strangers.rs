//! Sampled drops, counted by source.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr, time::Duration};

use crate::drop_line::DropLine;

/// The most sources that are kept. In a flood from spoofed sources, those with the fewest drops are
/// forgotten.
const MOST: usize = 4096;

#[derive(Default)]
pub(super) struct Strangers {
    known: HashMap<IpAddr, Stranger>,
    /// Drops without a readable source.
    pub(super) nameless: u64,
    /// How many sources were forgotten to make room.
    pub(super) forgotten: u64,
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
pub(super) enum By {
    Drops,
    Last,
}

impl Strangers {
    /// Counts `drop`, which was seen at `at`.
    pub(super) fn count(&mut self, drop: &DropLine, at: Duration) {
        let Some(address) = drop.source else {
            self.nameless += 1;
            return;
        };
        if self.known.len() >= MOST && !self.known.contains_key(&address) {
            self.make_room();
        }
        let (action, reason, port) = (drop.action, drop.reason, drop.port);
        let drops = self.known.get(&address).map_or(0, |known| known.drops) + 1;
        let stranger = Stranger { address, drops, action, reason, port, last: at };
        self.known.insert(address, stranger);
    }

    /// Forgets half of the sources at once, so that not every new source needs a search for the
    /// smallest.
    fn make_room(&mut self) {
        let mut kept = self.sorted(By::Drops);
        kept.truncate(MOST / 2);
        self.forgotten += (self.known.len() - kept.len()) as u64;
        self.known = kept.into_iter().map(|stranger| (stranger.address, stranger)).collect();
    }

    pub(super) fn sorted(&self, by: By) -> Vec<Stranger> {
        let mut all: Vec<Stranger> = self.known.values().cloned().collect();
        all.sort_by_key(|stranger| {
            let Stranger { address, drops, last, .. } = stranger;
            match by {
                By::Drops => (Reverse(u128::from(*drops)), *address),
                By::Last => (Reverse(last.as_nanos()), *address),
            }
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(source: Option<IpAddr>) -> DropLine {
        DropLine {
            interface: "eth0".into(),
            action: "drop",
            reason: "unknown_source",
            source,
            destination: None,
            port: Some(443),
            length: 60,
            headers: Vec::new(),
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
        assert_eq!(order(&strangers, By::Drops), [(address(7), 2), (address(9), 1)]);
        assert_eq!(order(&strangers, By::Last), [(address(9), 1), (address(7), 2)]);
        assert_eq!(strangers.nameless, 1);
        for n in 0..100_000 {
            strangers.count(&drop(Some(address(n + 100))), at(5));
        }
        assert!(strangers.known.len() <= MOST && strangers.forgotten > 90_000);
        assert_eq!(order(&strangers, By::Drops)[0], (address(7), 2));
    }
}
