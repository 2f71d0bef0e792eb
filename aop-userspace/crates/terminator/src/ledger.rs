//! The terminator's counters: connections by outcome, and the certificates that authenticated.
//!
//! Memory is bounded whatever peers do: refusals are counted under a configured site or under `-`,
//! never under a name that a peer chose, and a site keeps only its most recent identities.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aop_tls::{IssuingCa, PeerIdentity, Refusal, WouldRefuse, now};
use aop_types::AddressVerdict;

use super::{
    http::Denial,
    lately::{Lately, RecentRefusal},
    observations::{LastObservation, Observations, ObservedCount},
};

/// Identities that are kept for each site.
const IDENTITIES: usize = 64;

/// The site name under which connections are counted that matched no site.
pub(super) const NO_SITE: &str = "-";

/// Counters since start. Reloading does not reset them.
#[derive(Debug, Default)]
pub struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    served: Mutex<HashMap<Arc<str>, u64>>,
    observations: Observations,
    would_refuse: AtomicU64,
    refused: Mutex<HashMap<(Arc<str>, Refusal), Refusals>>,
    refused_lately: Mutex<Lately>,
    relayed: AtomicU64,
    denied: Mutex<HashMap<(Arc<str>, Denial), u64>>,
    identities: Mutex<HashMap<Arc<str>, KnownIdentity>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Refusals {
    all: u64,
    from_admitted: u64,
}

/// The identities of one site.
#[derive(Debug, Default)]
struct KnownIdentity {
    seen: HashMap<PeerIdentity, Seen>,
    /// The number of evicted identities.
    forgotten: u64,
}

#[derive(Clone, Debug)]
struct Seen {
    issuing_ca: Option<IssuingCa>,
    first: u64,
    last: u64,
    pulls: u64,
}

/// The counters at one moment. Every connection with a completed handshake is counted exactly once:
/// in `accepted`, in `refused` or in `observed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountersSnapshot {
    /// Connections that are open now, handshakes included.
    pub open: u64,
    /// Origin pulls that were relayed.
    pub accepted: u64,
    /// Relayed origin pulls by site, without those of this host itself.
    pub served: Vec<(Arc<str>, u64)>,
    /// Unauthenticated connections that were relayed because their site observes.
    pub observed: Vec<ObservedCount>,
    /// The latest observed connection from an admitted address, for each site.
    pub last_observed: Vec<LastObservation>,
    /// Connections from addresses that are not admitted, accepted because the firewall observes.
    pub would_refuse: u64,
    /// Refusals, by site and reason.
    pub refused: Vec<RefusedCount>,
    /// Recently refused addresses, the most recent first.
    pub refused_lately: Vec<RecentRefusal>,
    /// Requests that an HTTP upstream answered.
    pub relayed: u64,
    /// Requests that aop answered instead of the upstream, by site and reason.
    pub denied: Vec<DeniedCount>,
    /// Certificates that authenticated, by site, the most recent first.
    pub identities: Vec<IdentitySighting>,
    /// The number of certificates that were evicted from `identities`, by site.
    pub forgotten: Vec<(Arc<str>, u64)>,
}

/// How often a site refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCount {
    /// The site's name, or `-` where no site was reached.
    pub site: Arc<str>,
    /// The reason.
    pub refusal: Refusal,
    /// Connections.
    pub count: u64,
    /// Connections from admitted addresses, without those of this host itself.
    pub from_admitted: u64,
}

/// How often requests of a site were denied for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedCount {
    /// The site's name.
    pub site: Arc<str>,
    /// The reason.
    pub denial: Denial,
    /// Requests.
    pub count: u64,
}

/// A certificate that authenticated for a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySighting {
    /// The site's name.
    pub site: Arc<str>,
    /// The certificate.
    pub identity: PeerIdentity,
    /// The client CA that issued it, as of its latest handshake.
    pub issuing_ca: Option<IssuingCa>,
    /// Seconds since 1970.
    pub first_seen: u64,
    /// Seconds since 1970.
    pub last_seen: u64,
    /// Handshakes.
    pub pulls: u64,
}

/// An open connection, counted until it is dropped.
pub(super) struct Opened(Arc<Counters>);

impl Counters {
    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> CountersSnapshot {
        let mut refused: Vec<_> = held(&self.refused)
            .iter()
            .map(|((site, refusal), &Refusals { all, from_admitted })| RefusedCount {
                site: site.clone(),
                refusal: *refusal,
                count: all,
                from_admitted,
            })
            .collect();
        refused.sort_by(|a, b| (&a.site, a.refusal.name()).cmp(&(&b.site, b.refusal.name())));
        let mut denied: Vec<_> = held(&self.denied)
            .iter()
            .map(|((site, denial), &count)| DeniedCount {
                site: site.clone(),
                denial: *denial,
                count,
            })
            .collect();
        denied.sort_by(|a, b| (&a.site, a.denial.name()).cmp(&(&b.site, b.denial.name())));
        let mut identities = Vec::new();
        let mut forgotten = Vec::new();
        for (site, known) in held(&self.identities).iter() {
            if known.forgotten > 0 {
                forgotten.push((site.clone(), known.forgotten));
            }
            identities.extend(known.seen.iter().map(|(identity, seen)| IdentitySighting {
                site: site.clone(),
                identity: identity.clone(),
                issuing_ca: seen.issuing_ca.clone(),
                first_seen: seen.first,
                last_seen: seen.last,
                pulls: seen.pulls,
            }));
        }
        identities.sort_by(|a, b| a.site.cmp(&b.site).then(b.last_seen.cmp(&a.last_seen)));
        let served =
            held(&self.served).iter().map(|(site, count)| (site.clone(), *count)).collect();
        let (observed, last_observed) = self.observations.snapshot(now());
        CountersSnapshot {
            open: self.open.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            served,
            observed,
            last_observed,
            would_refuse: self.would_refuse.load(Relaxed),
            refused,
            refused_lately: held(&self.refused_lately).told(),
            relayed: self.relayed.load(Relaxed),
            denied,
            identities,
            forgotten,
        }
    }

    /// Restores the identities that an earlier run recorded.
    pub fn recall(&self, sightings: Vec<IdentitySighting>) {
        let mut sites = held(&self.identities);
        for sighting in sightings {
            let IdentitySighting { site, identity, issuing_ca, first_seen, last_seen, pulls } =
                sighting;
            let seen = Seen { issuing_ca, first: first_seen, last: last_seen, pulls };
            sites.entry(site).or_default().add(identity, seen);
        }
    }

    pub(super) fn open(self: &Arc<Self>) -> Opened {
        self.open.fetch_add(1, Relaxed);
        Opened(self.clone())
    }

    /// Counts a relayed pull. A pull of this host itself is not counted as served: it does not
    /// prove that the edge authenticates.
    pub(super) fn accepted(&self, site: &Arc<str>, peer: IpAddr) {
        self.accepted.fetch_add(1, Relaxed);
        if peer.is_loopback() {
            return;
        }
        let mut served = held(&self.served);
        match served.get_mut(site) {
            Some(count) => *count += 1,
            None => {
                served.insert(site.clone(), 1);
            }
        }
    }

    /// Counts a connection that is relayed although enforcing would refuse it. `entrance` is the
    /// gate's verdict on `peer`. This host itself never counts as an admitted address.
    pub(super) fn observed(
        &self,
        site: &Arc<str>,
        would: &WouldRefuse,
        peer: IpAddr,
        entrance: Option<AddressVerdict>,
    ) {
        let admitted = entrance == Some(AddressVerdict::Open) && !peer.is_loopback();
        self.observations.add(site, would, peer, admitted, now());
    }

    /// Restarts the observations of the last day: `site` begins to observe.
    pub(super) fn observe_anew(&self, site: &str) {
        self.observations.begin(site);
    }

    pub(super) fn would_refuse(&self) {
        self.would_refuse.fetch_add(1, Relaxed);
    }

    /// Counts a refusal. `entrance` is the gate's verdict on `peer`, if it was asked. This host
    /// itself never counts as an admitted address or as a recently refused peer.
    pub(super) fn refused(
        &self,
        site: &Arc<str>,
        refusal: Refusal,
        peer: IpAddr,
        entrance: Option<AddressVerdict>,
        now: u64,
    ) {
        let admitted = entrance == Some(AddressVerdict::Open) && !peer.is_loopback();
        let mut refused = held(&self.refused);
        let counts = refused.entry((site.clone(), refusal)).or_default();
        counts.all += 1;
        counts.from_admitted += u64::from(admitted);
        drop(refused);
        if !peer.is_loopback() {
            held(&self.refused_lately).add(peer, site, refusal, admitted, now);
        }
    }

    pub(super) fn relayed(&self) {
        self.relayed.fetch_add(1, Relaxed);
    }

    pub(super) fn denied(&self, site: &Arc<str>, denial: Denial) {
        *held(&self.denied).entry((site.clone(), denial)).or_default() += 1;
    }

    pub(super) fn authenticated(
        &self,
        site: &Arc<str>,
        identity: &PeerIdentity,
        issuing_ca: Option<&IssuingCa>,
        now: u64,
    ) {
        let mut sites = held(&self.identities);
        let known = sites.entry(site.clone()).or_default();
        match known.seen.get_mut(identity) {
            Some(seen) => {
                seen.last = now;
                seen.pulls += 1;
                if seen.issuing_ca.as_ref() != issuing_ca {
                    seen.issuing_ca = issuing_ca.cloned();
                }
            }
            None => known.add(
                identity.clone(),
                Seen { issuing_ca: issuing_ca.cloned(), first: now, last: now, pulls: 1 },
            ),
        }
    }
}

impl KnownIdentity {
    /// Adds an identity. If the site has too many, the least recently seen one is evicted.
    fn add(&mut self, identity: PeerIdentity, seen: Seen) {
        if self.seen.len() >= IDENTITIES
            && let Some(oldest) =
                self.seen.iter().min_by_key(|(_, seen)| seen.last).map(|(id, _)| id.clone())
        {
            self.seen.remove(&oldest);
            self.forgotten += 1;
        }
        self.seen.insert(identity, seen);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// Locks `mutex`, poisoned or not: a panic leaves the counters usable.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(serial: usize) -> PeerIdentity {
        PeerIdentity {
            subject: "CN=edge".into(),
            issuer: "CN=ca".into(),
            serial: serial.to_string(),
            spki_sha256: "00".into(),
            not_before: 1,
            not_after: 2,
        }
    }

    #[test]
    fn pulls_of_this_host_are_counted_and_are_no_evidence_for_or_against_enforcing() {
        let ledger = Counters::default();
        let site: Arc<str> = "example.com".into();
        let (refusal, detail, presented) = (Refusal::UnknownCa, String::new(), None);
        let would = WouldRefuse { refusal, detail, presented };
        for (peer, served, from_admitted) in
            [("127.0.0.1", 0, 0), ("::1", 0, 0), ("192.0.2.1", 1, 1), ("127.0.0.9", 1, 1)]
        {
            let peer = peer.parse().expect("an address");
            ledger.accepted(&site, peer);
            ledger.observed(&site, &would, peer, Some(AddressVerdict::Open));
            let after = ledger.snapshot();
            let count: u64 = after.served.iter().map(|(_, count)| *count).sum();
            let [observed] = &after.observed[..] else { panic!("{after:?}") };
            assert_eq!((count, observed.from_admitted), (served, from_admitted), "{peer}");
            assert_eq!((observed.lately, after.last_observed.len() as u64), (served, served));
            assert_eq!(after.accepted, observed.count);
        }
    }

    #[test]
    fn a_site_keeps_its_most_recent_identities() {
        let ledger = Counters::default();
        let site: Arc<str> = "example.com".into();
        ledger.authenticated(&site, &identity(0), None, 0);
        for serial in 1..IDENTITIES {
            ledger.authenticated(&site, &identity(serial), None, serial as u64);
        }
        ledger.authenticated(&site, &identity(0), None, 1000);
        ledger.authenticated(&site, &identity(IDENTITIES), None, 1001);
        let snapshot = ledger.snapshot();
        assert_eq!(snapshot.forgotten, [(site, 1)]);
        let next = Counters::default();
        next.recall(snapshot.identities.clone());
        assert_eq!(next.snapshot().identities.len(), IDENTITIES);
        let seen = snapshot.identities;
        assert_eq!(seen.len(), IDENTITIES);
        assert_eq!((seen[0].identity.serial.as_str(), seen[0].pulls), ("64", 1));
        let zero = (seen[1].identity.serial.as_str(), seen[1].first_seen, seen[1].pulls);
        assert_eq!(zero, ("0", 0, 2));
        assert!(!seen.iter().any(|sighting| sighting.identity.serial == "1"));
    }
}
