//! Pending handshakes: connections that have not authenticated yet, and their bounds.
//!
//! They have slots of their own, so that silent peers take no connection slot from authenticated
//! ones. A new connection always gets a pending slot; if all are taken, the oldest pending
//! handshake is evicted. A peer that follows the protocol authenticates long before its eviction,
//! however many silent peers there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::pending,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use aop_tls::Refusal;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

/// How long an address stays known after a peer authenticated from it.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

/// The number of known addresses that are remembered.
const MAX_KNOWN: usize = 16_384;

/// Unknown addresses keep at least one of this many parts of all pending slots: a good peer may
/// come from an address that was never seen.
const UNKNOWN_SHARE: usize = 4;

/// All pending handshakes.
pub(super) struct PendingHandshakes {
    slots: usize,
    per_peer: usize,
    table: Mutex<HandshakeTable>,
}

#[derive(Default)]
struct HandshakeTable {
    next: u64,
    unknown: BTreeMap<u64, PendingHandshake>,
    known: BTreeMap<u64, PendingHandshake>,
    /// The handshakes of `unknown` by source: an IPv4 address or an IPv6 /64.
    by_source: HashMap<IpAddr, BTreeSet<u64>>,
    /// When a peer last authenticated from each known address.
    last_authenticated: HashMap<IpAddr, Instant>,
}

struct PendingHandshake {
    address: IpAddr,
    evict: oneshot::Sender<Refusal>,
}

/// A pending slot. Dropping it frees the slot.
pub(super) struct PendingSlot {
    handshakes: Arc<PendingHandshakes>,
    number: u64,
    address: IpAddr,
    evict: Option<oneshot::Receiver<Refusal>>,
}

impl PendingHandshakes {
    /// Allows `slots` pending handshakes in all, and `per_peer` from one unknown source.
    pub(super) fn new(slots: usize, per_peer: usize) -> Self {
        Self { slots, per_peer, table: Mutex::default() }
    }

    /// Takes a pending slot for a connection from `address`, which may evict another one. An
    /// address that did not authenticate recently still counts as known if `on_record` says so:
    /// right after a restart no address has authenticated recently.
    pub(super) fn acquire(
        self: &Arc<Self>,
        address: IpAddr,
        on_record: impl FnOnce() -> bool,
    ) -> PendingSlot {
        self.acquire_at(Instant::now(), address, on_record)
    }

    fn acquire_at(
        self: &Arc<Self>,
        now: Instant,
        address: IpAddr,
        on_record: impl FnOnce() -> bool,
    ) -> PendingSlot {
        let (evict, evicted) = oneshot::channel();
        let recent = |then: &Instant| now - *then < KNOWN_FOR;
        let mut table = self.table.lock();
        let is_known = table.last_authenticated.get(&address).is_some_and(recent) || on_record();
        if !is_known && let Some(same) = table.by_source.get(&source(address)) {
            let oldest = same.first().filter(|_| same.len() >= self.per_peer).copied();
            oldest.into_iter().for_each(|number| table.evict(number, Refusal::TooMany));
        }
        if table.unknown.len() + table.known.len() >= self.slots {
            let oldest = table.oldest(self.slots / UNKNOWN_SHARE);
            oldest.into_iter().for_each(|number| table.evict(number, Refusal::CrowdedOut));
        }
        let number = table.next;
        table.next += 1;
        if is_known {
            table.known.insert(number, PendingHandshake { address, evict });
        } else {
            table.unknown.insert(number, PendingHandshake { address, evict });
            table.by_source.entry(source(address)).or_default().insert(number);
        }
        drop(table);
        PendingSlot { handshakes: self.clone(), number, address, evict: Some(evicted) }
    }
}

impl HandshakeTable {
    /// The oldest handshake: one of an unknown address if those have more than `spared` slots.
    fn oldest(&self, spared: usize) -> Option<u64> {
        let (unknown, known) = (self.unknown.keys().next(), self.known.keys().next());
        match self.unknown.len() > spared {
            true => unknown.or(known).copied(),
            false => known.or(unknown).copied(),
        }
    }

    fn evict(&mut self, number: u64, reason: Refusal) {
        if let Some(pending) = self.remove(number) {
            // The receiver is gone if the connection is ending at the same moment.
            pending.evict.send(reason).ok();
        }
    }

    fn remove(&mut self, number: u64) -> Option<PendingHandshake> {
        let Some(pending) = self.unknown.remove(&number) else {
            return self.known.remove(&number);
        };
        let source = source(pending.address);
        if let Some(same) = self.by_source.get_mut(&source) {
            same.remove(&number);
            if same.is_empty() {
                self.by_source.remove(&source);
            }
        }
        Some(pending)
    }

    fn remember(&mut self, address: IpAddr) {
        if self.last_authenticated.len() >= MAX_KNOWN
            && !self.last_authenticated.contains_key(&address)
        {
            self.last_authenticated.retain(|_, then| then.elapsed() < KNOWN_FOR);
            if self.last_authenticated.len() >= MAX_KNOWN {
                let oldest = self.last_authenticated.iter().min_by_key(|(_, then)| **then);
                let oldest = oldest.map(|(address, _)| *address);
                oldest.and_then(|oldest| self.last_authenticated.remove(&oldest));
            }
        }
        self.last_authenticated.insert(address, Instant::now());
    }
}

impl PendingSlot {
    /// Waits until the slot is lost, and returns the reason. A second call never returns.
    pub(super) async fn evicted(&mut self) -> Refusal {
        let evicted = match &mut self.evict {
            Some(evict) => evict.await.ok(),
            None => None,
        };
        self.evict = None;
        match evicted {
            Some(reason) => reason,
            None => pending().await,
        }
    }

    /// Frees the slot and remembers the address: its peer has authenticated.
    pub(super) fn authenticated(self) {
        self.handshakes.table.lock().remember(self.address);
    }
}

impl Drop for PendingSlot {
    fn drop(&mut self) {
        self.handshakes.table.lock().remove(self.number);
    }
}

/// The unit that `per_peer` bounds: an IPv4 address, or an IPv6 /64, which one host may own.
fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The address is not on record.
    fn new() -> bool {
        false
    }

    fn handshakes(slots: usize, per_peer: usize) -> Arc<PendingHandshakes> {
        Arc::new(PendingHandshakes::new(slots, per_peer))
    }

    /// Why the slot was lost, if it was.
    fn evicted(slot: &mut PendingSlot) -> Option<Refusal> {
        slot.evict.as_mut().and_then(|evict| evict.try_recv().ok())
    }

    #[tokio::test]
    async fn the_oldest_handshake_is_evicted_and_never_the_newest() {
        let handshakes = handshakes(3, 3);
        let mut slots: Vec<_> =
            (0..5).map(|n| handshakes.acquire(address(&format!("192.0.2.{n}")), new)).collect();
        let evicted: Vec<_> = slots.iter_mut().map(evicted).collect();
        let evict = Some(Refusal::CrowdedOut);
        assert_eq!(evicted, [evict, evict, None, None, None]);
    }

    #[tokio::test]
    async fn an_unknown_source_evicts_only_its_own_handshakes() {
        let handshakes = handshakes(100, 2);
        let mut other = handshakes.acquire(address("192.0.2.1"), new);
        // One host may own a whole /64.
        let flood = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(address);
        let mut flood = flood.map(|from| handshakes.acquire(from, new));
        assert_eq!(flood.each_mut().map(evicted), [Some(Refusal::TooMany), None, None]);
        assert_eq!(evicted(&mut other), None);
        drop(flood);
        let mut again = [(); 2].map(|()| handshakes.acquire(address("2001:db8::1"), new));
        assert_eq!(again.each_mut().map(evicted), [None, None]);
    }

    #[tokio::test]
    async fn an_address_stays_known_for_an_hour_after_it_authenticated() {
        let handshakes = handshakes(100, 1);
        let edge = address("192.0.2.1");
        handshakes.acquire(edge, new).authenticated();
        let mut many = [(); 3].map(|()| handshakes.acquire(edge, new));
        assert_eq!(many.each_mut().map(evicted), [None; 3]);
        drop(many);
        let later = Instant::now() + KNOWN_FOR;
        let mut two = [(); 2].map(|()| handshakes.acquire_at(later, edge, new));
        assert_eq!(two.each_mut().map(evicted), [Some(Refusal::TooMany), None]);
    }

    #[tokio::test]
    async fn an_address_on_record_is_known_after_a_restart() {
        let handshakes = handshakes(100, 1);
        let edge = address("192.0.2.1");
        let mut many = [(); 3].map(|()| handshakes.acquire(edge, || true));
        assert_eq!(many.each_mut().map(evicted), [None; 3]);
        // A recently authenticated address is not looked up.
        handshakes.acquire(edge, new).authenticated();
        drop(handshakes.acquire(edge, || panic!("looked up")));
    }

    #[tokio::test]
    async fn unknown_addresses_are_evicted_before_known_ones_down_to_a_quarter_of_the_slots() {
        let handshakes = handshakes(8, 8);
        let (edge, stranger) = (address("192.0.2.1"), address("192.0.2.2"));
        handshakes.acquire(edge, new).authenticated();
        let mut first = handshakes.acquire(edge, new);
        let mut flood: Vec<_> = (0..20).map(|_| handshakes.acquire(stranger, new)).collect();
        assert_eq!(evicted(&mut first), None);
        assert_eq!(flood.iter_mut().filter_map(evicted).count(), 13);
        // A flood from a known address leaves unknown ones a quarter of the slots.
        let flood_of_edge: Vec<_> = (0..20).map(|_| handshakes.acquire(edge, new)).collect();
        assert_eq!(evicted(&mut first), Some(Refusal::CrowdedOut));
        assert!(evicted(&mut flood[19]).is_none() && evicted(&mut flood[18]).is_none());
        assert!(evicted(&mut flood[17]).is_some());
        drop(flood_of_edge);
        let table = handshakes.table.lock();
        assert_eq!((table.unknown.len(), table.known.len()), (2, 0));
    }

    #[tokio::test]
    async fn a_dropped_slot_is_free_and_a_loss_is_reported_once() {
        let handshakes = handshakes(1, 1);
        drop(handshakes.acquire(address("192.0.2.1"), new));
        let mut slot = handshakes.acquire(address("192.0.2.1"), new);
        assert_eq!(evicted(&mut slot), None);
        let _next = handshakes.acquire(address("192.0.2.2"), new);
        assert_eq!(slot.evicted().await, Refusal::CrowdedOut);
        let again = tokio::time::timeout(Duration::from_millis(10), slot.evicted()).await;
        assert!(again.is_err(), "the loss was reported twice");
    }

    #[tokio::test]
    async fn remembered_addresses_are_bounded_and_include_the_latest() {
        let mut table = HandshakeTable::default();
        for number in 0..=MAX_KNOWN {
            table.remember(IpAddr::V6(Ipv6Addr::from_bits(number as u128)));
        }
        assert_eq!(table.last_authenticated.len(), MAX_KNOWN);
        let latest = IpAddr::V6(Ipv6Addr::from_bits(MAX_KNOWN as u128));
        assert!(table.last_authenticated.contains_key(&latest));
    }
}
