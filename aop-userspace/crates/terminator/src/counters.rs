//! The terminator's counters: totals, recent refusals, and the counters of each site.
//!
//! A connection counts in its site's [`SiteCounters`], which its policy holds: no lock and no map
//! is shared by all connections. Reloading matches sites by name, so that no count is lost.
//!
//! Memory is bounded whatever peers do: refusals are counted under a configured site or under `-`,
//! never under a name that a peer chose.

mod identities;
mod observations;
mod recent_refusals;
mod site;
mod snapshot;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aop_tls::Refusal;
use aop_types::{AddressVerdict, unix_seconds};
pub use identities::IdentitySighting;
pub use observations::{LastObservation, ObservedCount};
use parking_lot::Mutex;
pub use recent_refusals::RecentRefusal;
use recent_refusals::RecentRefusals;
pub(super) use site::SiteCounters;
pub use snapshot::{CountersSnapshot, DeniedCount, RefusedCount, RetiredCount};

/// The site name under which connections are counted that matched no site.
pub(super) const NO_SITE: &str = "-";

/// Counters since start. Reloading does not reset them.
#[derive(Debug)]
pub struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    would_refuse: AtomicU64,
    relayed: AtomicU64,
    recent_refusals: Mutex<RecentRefusals>,
    no_site: Arc<SiteCounters>,
    /// The counters of every site that was ever served, and of `-`. Locked to load a policy and
    /// to take a snapshot; connections do not lock it.
    sites: Mutex<BTreeMap<Arc<str>, Arc<SiteCounters>>>,
}

/// An open connection, counted until it is dropped.
pub(super) struct OpenConnection(Arc<Counters>);

impl Default for Counters {
    fn default() -> Self {
        let no_site = Arc::new(SiteCounters::new(NO_SITE.into()));
        Self {
            open: AtomicU64::default(),
            accepted: AtomicU64::default(),
            would_refuse: AtomicU64::default(),
            relayed: AtomicU64::default(),
            recent_refusals: Mutex::default(),
            sites: Mutex::new(BTreeMap::from([(no_site.site().clone(), no_site.clone())])),
            no_site,
        }
    }
}

impl Counters {
    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> CountersSnapshot {
        let mut snapshot = CountersSnapshot {
            open: self.open.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            would_refuse: self.would_refuse.load(Relaxed),
            relayed: self.relayed.load(Relaxed),
            refused_lately: self.recent_refusals.lock().entries(),
            ..CountersSnapshot::default()
        };
        let now = unix_seconds();
        for site in self.sites.lock().values() {
            site.add_to(&mut snapshot, now);
        }
        snapshot
    }

    /// Restores the identities that an earlier run recorded.
    pub fn restore(&self, sightings: Vec<IdentitySighting>) {
        for sighting in sightings {
            self.site(&sighting.site).restore(sighting);
        }
    }

    /// The counters of `site`, which are new if the site was never served.
    pub(super) fn site(&self, site: &Arc<str>) -> Arc<SiteCounters> {
        let new = || Arc::new(SiteCounters::new(site.clone()));
        self.sites.lock().entry(site.clone()).or_insert_with(new).clone()
    }

    /// The counters of connections that matched no site.
    pub(super) fn no_site(&self) -> &Arc<SiteCounters> {
        &self.no_site
    }

    pub(super) fn open(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Relaxed);
        OpenConnection(self.clone())
    }

    /// Counts a relayed pull of an authenticated peer.
    pub(super) fn accepted(&self, site: &SiteCounters, peer: IpAddr) {
        self.accepted.fetch_add(1, Relaxed);
        site.served(peer);
    }

    /// Counts a connection from an address that is not admitted; the firewall observes.
    pub(super) fn would_refuse(&self) {
        self.would_refuse.fetch_add(1, Relaxed);
    }

    /// Counts a refusal at `now`. `verdict` is the gate's verdict on `peer`, if it was asked. This
    /// host itself never counts as a recently refused peer.
    pub(super) fn refused(
        &self,
        site: &SiteCounters,
        refusal: Refusal,
        peer: IpAddr,
        verdict: Option<AddressVerdict>,
        now: u64,
    ) {
        let origin = Origin::of(peer, verdict);
        site.refused(refusal, origin);
        if !peer.is_loopback() {
            self.recent_refusals.lock().record(peer, site.site(), refusal, origin, now);
        }
    }

    /// Counts a request that got a whole response of an HTTP upstream, or a tunnel.
    pub(super) fn relayed(&self) {
        self.relayed.fetch_add(1, Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// Where a connection came from, as evidence about real pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The loopback of this host: its pulls prove nothing about the edge (`aop doctor` makes some).
    ThisHost,
    /// Any other address.
    Other,
    /// An admitted address.
    Admitted,
}

impl Origin {
    /// The origin of `peer`, about which the gate said `verdict` if it was asked.
    pub(super) fn of(peer: IpAddr, verdict: Option<AddressVerdict>) -> Self {
        if peer.is_loopback() {
            Self::ThisHost
        } else if verdict == Some(AddressVerdict::Admitted) {
            Self::Admitted
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests;
