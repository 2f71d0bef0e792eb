//! The counters of one site: atomics, indexed by the tables of refusals and denials.
//!
//! Only two events lock a mutex, one of this site alone: a handshake that authenticates (the
//! identities), and an observed connection from an admitted address (the evidence).

use std::{
    array,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aop_http::http2::Limit;
use aop_tls::{IssuingCa, PeerIdentity, Refusal, WouldRefuse};
use aop_types::{AddressVerdict, unix_seconds};
use parking_lot::Mutex;

use super::{
    CountersSnapshot, DeniedCount, IdentitySighting, Origin, RefusedCount, RetiredCount,
    identities::IdentityTable, observations::Observations,
};
use crate::http::Denial;

/// The counters of one site.
#[derive(Debug)]
pub(crate) struct SiteCounters {
    site: Arc<str>,
    served: AtomicU64,
    refused: RefusalCounters,
    denied: [AtomicU64; Denial::ALL.len()],
    retired: [AtomicU64; Limit::ALL.len()],
    observations: Observations,
    identities: Mutex<IdentityTable>,
}

/// Counts of connections by the reason of their refusal.
#[derive(Debug)]
pub(super) struct RefusalCounters([ByOrigin; Refusal::ALL.len()]);

impl Default for RefusalCounters {
    fn default() -> Self {
        Self(array::from_fn(|_| ByOrigin::default()))
    }
}

#[derive(Debug, Default)]
struct ByOrigin {
    all: AtomicU64,
    from_admitted: AtomicU64,
    from_this_host: AtomicU64,
}

/// The count of one reason.
pub(super) struct RefusalTotal {
    pub(super) refusal: Refusal,
    pub(super) all: u64,
    pub(super) from_admitted: u64,
    pub(super) from_this_host: u64,
}

impl RefusalCounters {
    pub(super) fn add(&self, refusal: Refusal, origin: Origin) {
        let counter = &self.0[refusal as usize];
        counter.all.fetch_add(1, Relaxed);
        match origin {
            Origin::Admitted => _ = counter.from_admitted.fetch_add(1, Relaxed),
            Origin::ThisHost => _ = counter.from_this_host.fetch_add(1, Relaxed),
            Origin::Other => {}
        }
    }

    /// The counts that are not zero, sorted by the name of the reason.
    pub(super) fn totals(&self) -> Vec<RefusalTotal> {
        let total = |refusal: Refusal| {
            let counter = &self.0[refusal as usize];
            RefusalTotal {
                refusal,
                all: counter.all.load(Relaxed),
                from_admitted: counter.from_admitted.load(Relaxed),
                from_this_host: counter.from_this_host.load(Relaxed),
            }
        };
        let totals = Refusal::ALL.iter().map(|refusal| total(*refusal));
        let mut totals: Vec<_> = totals.filter(|total| total.all > 0).collect();
        totals.sort_by_key(|total| total.refusal.name());
        totals
    }
}

impl SiteCounters {
    /// Counters at zero.
    pub(super) fn new(site: Arc<str>) -> Self {
        Self {
            site,
            served: AtomicU64::default(),
            refused: RefusalCounters::default(),
            denied: array::from_fn(|_| AtomicU64::default()),
            retired: array::from_fn(|_| AtomicU64::default()),
            observations: Observations::default(),
            identities: Mutex::default(),
        }
    }

    /// The name of the site, or `-`.
    pub(crate) fn site(&self) -> &Arc<str> {
        &self.site
    }

    /// Counts a relayed pull. A pull of this host itself is not counted as served: it does not
    /// prove that the edge authenticates.
    pub(super) fn served(&self, peer: IpAddr) {
        if !peer.is_loopback() {
            self.served.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn refused(&self, refusal: Refusal, origin: Origin) {
        self.refused.add(refusal, origin);
    }

    /// Counts a connection that is relayed although enforcing would refuse it. `verdict` is the
    /// gate's verdict on `peer`.
    pub(crate) fn observed(
        &self,
        would: &WouldRefuse,
        peer: IpAddr,
        verdict: Option<AddressVerdict>,
    ) {
        self.observations.record(
            &self.site,
            would,
            peer,
            Origin::of(peer, verdict),
            unix_seconds(),
        );
    }

    /// Discards the evidence of the last day: the site begins to observe.
    pub(crate) fn restart_observations(&self) {
        self.observations.restart();
    }

    /// Counts a request that aop answered instead of the upstream, or that was not completed.
    pub(crate) fn denied(&self, denial: Denial) {
        self.denied[denial as usize].fetch_add(1, Relaxed);
    }

    /// Counts an HTTP/2 connection that exceeded a rate.
    pub(crate) fn retired(&self, limit: Limit) {
        self.retired[limit as usize].fetch_add(1, Relaxed);
    }

    /// Records a handshake at `now` in which `identity` authenticated.
    pub(crate) fn authenticated(
        &self,
        identity: &PeerIdentity,
        issuing_ca: Option<&IssuingCa>,
        now: u64,
    ) {
        self.identities.lock().record(identity, issuing_ca, now);
    }

    pub(super) fn restore(&self, sighting: IdentitySighting) {
        self.identities.lock().restore(sighting);
    }

    /// Appends these counts to `snapshot`.
    pub(super) fn add_to(&self, snapshot: &mut CountersSnapshot, now: u64) {
        let site = || self.site.clone();
        let served = self.served.load(Relaxed);
        if served > 0 {
            snapshot.served.push((site(), served));
        }
        let refused = self.refused.totals().into_iter().map(|total| RefusedCount {
            site: site(),
            refusal: total.refusal,
            count: total.all,
            from_admitted: total.from_admitted,
            from_this_host: total.from_this_host,
        });
        snapshot.refused.extend(refused);
        let denied = Denial::ALL.iter().zip(&self.denied).map(|(denial, count)| DeniedCount {
            site: site(),
            denial: *denial,
            count: count.load(Relaxed),
        });
        let mut denied: Vec<_> = denied.filter(|denied| denied.count > 0).collect();
        denied.sort_by_key(|denied| denied.denial.name());
        snapshot.denied.extend(denied);
        let retired = Limit::ALL.iter().zip(&self.retired).map(|(limit, count)| RetiredCount {
            site: site(),
            limit: *limit,
            count: count.load(Relaxed),
        });
        snapshot.retired.extend(retired.filter(|retired| retired.count > 0));
        self.observations.add_to(&self.site, snapshot, now);
        let identities = self.identities.lock();
        snapshot.identities.extend(identities.sightings(&self.site));
        if identities.forgotten() > 0 {
            snapshot.forgotten.push((site(), identities.forgotten()));
        }
    }
}
