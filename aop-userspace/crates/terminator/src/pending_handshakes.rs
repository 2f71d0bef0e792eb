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
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aop_tls::Refusal;
use tokio::{sync::oneshot, time::Instant};

/// How long an address stays known after a peer authenticated from it.
const FAMILIAR: Duration = Duration::from_secs(60 * 60);

/// The number of known addresses that are remembered.
const REMEMBERED: usize = 16_384;

/// Unknown addresses keep at least one of this many parts of all pending slots: a good peer may
/// come from an address that was never seen.
const STRANGERS: usize = 4;

/// All pending handshakes.
pub(super) struct Crowd {
    places: usize,
    per_peer: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    strangers: BTreeMap<u64, Present>,
    familiars: BTreeMap<u64, Present>,
    /// The handshakes of `strangers` by source: an IPv4 address or an IPv6 /64.
    sources: HashMap<IpAddr, BTreeSet<u64>>,
    /// When a peer last authenticated from each known address.
    known: HashMap<IpAddr, Instant>,
}

struct Present {
    address: IpAddr,
    out: oneshot::Sender<Refusal>,
}

/// A pending slot. Dropping it frees the slot.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    address: IpAddr,
    out: Option<oneshot::Receiver<Refusal>>,
}

impl Crowd {
    /// Allows `places` pending handshakes in all, and `per_peer` from one unknown source.
    pub(super) fn new(places: usize, per_peer: usize) -> Self {
        Self { places, per_peer, inside: Mutex::default() }
    }

    /// Takes a pending slot for a connection from `address`, which may evict another one. An
    /// address that did not authenticate recently still counts as known if `on_record` says so:
    /// right after a restart no address has authenticated recently.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        on_record: impl FnOnce() -> bool,
    ) -> Place {
        self.enter_at(Instant::now(), address, on_record)
    }

    fn enter_at(
        self: &Arc<Self>,
        now: Instant,
        address: IpAddr,
        on_record: impl FnOnce() -> bool,
    ) -> Place {
        let (out, evicted) = oneshot::channel();
        let recent = |then: &Instant| now - *then < FAMILIAR;
        let familiar = self.inside().known.get(&address).is_some_and(recent) || on_record();
        let mut inside = self.inside();
        if !familiar && let Some(same) = inside.sources.get(&source(address)) {
            let oldest = same.first().filter(|_| same.len() >= self.per_peer).copied();
            oldest.into_iter().for_each(|number| inside.expel(number, Refusal::TooMany));
        }
        if inside.strangers.len() + inside.familiars.len() >= self.places {
            let oldest = inside.longest(self.places / STRANGERS);
            oldest.into_iter().for_each(|number| inside.expel(number, Refusal::CrowdedOut));
        }
        let number = inside.next;
        inside.next += 1;
        if familiar {
            inside.familiars.insert(number, Present { address, out });
        } else {
            inside.strangers.insert(number, Present { address, out });
            inside.sources.entry(source(address)).or_default().insert(number);
        }
        drop(inside);
        Place { crowd: self.clone(), number, address, out: Some(evicted) }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// The oldest handshake: one of an unknown address if those have more than `spared` slots.
    fn longest(&self, spared: usize) -> Option<u64> {
        let (strangers, familiars) = (self.strangers.keys().next(), self.familiars.keys().next());
        match self.strangers.len() > spared {
            true => strangers.or(familiars).copied(),
            false => familiars.or(strangers).copied(),
        }
    }

    fn expel(&mut self, number: u64, reason: Refusal) {
        if let Some(present) = self.remove(number) {
            // The receiver is gone if the connection is ending at the same moment.
            present.out.send(reason).ok();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Present> {
        let Some(stranger) = self.strangers.remove(&number) else {
            return self.familiars.remove(&number);
        };
        let source = source(stranger.address);
        if let Some(same) = self.sources.get_mut(&source) {
            same.remove(&number);
            if same.is_empty() {
                self.sources.remove(&source);
            }
        }
        Some(stranger)
    }

    fn remember(&mut self, address: IpAddr) {
        if self.known.len() >= REMEMBERED && !self.known.contains_key(&address) {
            self.known.retain(|_, then| then.elapsed() < FAMILIAR);
            if self.known.len() >= REMEMBERED {
                let oldest = self.known.iter().min_by_key(|(_, then)| **then);
                let oldest = oldest.map(|(address, _)| *address);
                oldest.and_then(|oldest| self.known.remove(&oldest));
            }
        }
        self.known.insert(address, Instant::now());
    }
}

impl Place {
    /// Waits until the slot is lost, and returns the reason. A second call never returns.
    pub(super) async fn lost(&mut self) -> Refusal {
        let evicted = match &mut self.out {
            Some(out) => out.await.ok(),
            None => None,
        };
        self.out = None;
        match evicted {
            Some(reason) => reason,
            None => pending().await,
        }
    }

    /// Frees the slot and remembers the address: its peer has authenticated.
    pub(super) fn authenticated(self) {
        self.crowd.inside().remember(self.address);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.inside().remove(self.number);
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

    fn crowd(places: usize, per_peer: usize) -> Arc<Crowd> {
        Arc::new(Crowd::new(places, per_peer))
    }

    /// Why the slot was lost, if it was.
    fn lost(place: &mut Place) -> Option<Refusal> {
        place.out.as_mut().and_then(|out| out.try_recv().ok())
    }

    #[tokio::test]
    async fn the_oldest_handshake_is_evicted_and_never_the_newest() {
        let crowd = crowd(3, 3);
        let mut places: Vec<_> =
            (0..5).map(|n| crowd.enter(address(&format!("192.0.2.{n}")), new)).collect();
        let lost: Vec<_> = places.iter_mut().map(lost).collect();
        let out = Some(Refusal::CrowdedOut);
        assert_eq!(lost, [out, out, None, None, None]);
    }

    #[tokio::test]
    async fn an_unknown_source_evicts_only_its_own_handshakes() {
        let crowd = crowd(100, 2);
        let mut other = crowd.enter(address("192.0.2.1"), new);
        // One host may own a whole /64.
        let flood = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(address);
        let mut flood = flood.map(|from| crowd.enter(from, new));
        assert_eq!(flood.each_mut().map(lost), [Some(Refusal::TooMany), None, None]);
        assert_eq!(lost(&mut other), None);
        drop(flood);
        let mut again = [(); 2].map(|()| crowd.enter(address("2001:db8::1"), new));
        assert_eq!(again.each_mut().map(lost), [None, None]);
    }

    #[tokio::test]
    async fn an_address_stays_known_for_an_hour_after_it_authenticated() {
        let crowd = crowd(100, 1);
        let edge = address("192.0.2.1");
        crowd.enter(edge, new).authenticated();
        let mut many = [(); 3].map(|()| crowd.enter(edge, new));
        assert_eq!(many.each_mut().map(lost), [None; 3]);
        drop(many);
        let later = Instant::now() + FAMILIAR;
        let mut two = [(); 2].map(|()| crowd.enter_at(later, edge, new));
        assert_eq!(two.each_mut().map(lost), [Some(Refusal::TooMany), None]);
    }

    #[tokio::test]
    async fn an_address_on_record_is_known_after_a_restart() {
        let crowd = crowd(100, 1);
        let edge = address("192.0.2.1");
        let mut many = [(); 3].map(|()| crowd.enter(edge, || true));
        assert_eq!(many.each_mut().map(lost), [None; 3]);
        // A recently authenticated address is not looked up.
        crowd.enter(edge, new).authenticated();
        drop(crowd.enter(edge, || panic!("looked up")));
    }

    #[tokio::test]
    async fn unknown_addresses_are_evicted_before_known_ones_down_to_a_quarter_of_the_slots() {
        let crowd = crowd(8, 8);
        let (edge, stranger) = (address("192.0.2.1"), address("192.0.2.2"));
        crowd.enter(edge, new).authenticated();
        let mut first = crowd.enter(edge, new);
        let mut flood: Vec<_> = (0..20).map(|_| crowd.enter(stranger, new)).collect();
        assert_eq!(lost(&mut first), None);
        assert_eq!(flood.iter_mut().filter_map(lost).count(), 13);
        // A flood from a known address leaves unknown ones a quarter of the slots.
        let flood_of_edge: Vec<_> = (0..20).map(|_| crowd.enter(edge, new)).collect();
        assert_eq!(lost(&mut first), Some(Refusal::CrowdedOut));
        assert!(lost(&mut flood[19]).is_none() && lost(&mut flood[18]).is_none());
        assert!(lost(&mut flood[17]).is_some());
        drop(flood_of_edge);
        let inside = crowd.inside();
        assert_eq!((inside.strangers.len(), inside.familiars.len()), (2, 0));
    }

    #[tokio::test]
    async fn a_dropped_slot_is_free_and_a_loss_is_reported_once() {
        let crowd = crowd(1, 1);
        drop(crowd.enter(address("192.0.2.1"), new));
        let mut place = crowd.enter(address("192.0.2.1"), new);
        assert_eq!(lost(&mut place), None);
        let _next = crowd.enter(address("192.0.2.2"), new);
        assert_eq!(place.lost().await, Refusal::CrowdedOut);
        let again = tokio::time::timeout(Duration::from_millis(10), place.lost()).await;
        assert!(again.is_err(), "the loss was reported twice");
    }

    #[tokio::test]
    async fn remembered_addresses_are_bounded_and_include_the_latest() {
        let mut inside = Inside::default();
        for number in 0..=REMEMBERED {
            inside.remember(IpAddr::V6(Ipv6Addr::from_bits(number as u128)));
        }
        assert_eq!(inside.known.len(), REMEMBERED);
        let latest = IpAddr::V6(Ipv6Addr::from_bits(REMEMBERED as u128));
        assert!(inside.known.contains_key(&latest));
    }
}
