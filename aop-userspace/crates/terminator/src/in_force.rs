//! The active policy, and the tokens that end the connections it accepted.
//!
//! Unauthenticated peers are served only while their site observes. So the unauthenticated
//! connections of each observing site have a lease of their own.

use std::{collections::HashMap, sync::Arc};

use aop_tls::{Authentication, Permit};
use tokio_util::sync::CancellationToken;

use super::service::ServicePolicy;

/// A policy and the leases of the connections that it accepted.
pub(super) struct InForce {
    pub(super) policy: ServicePolicy,
    pub(super) lease: Lease,
    /// The leases of unauthenticated connections, by observing site.
    unproven: HashMap<Arc<str>, Lease>,
}

/// The tokens that end a group of connections.
#[derive(Clone)]
pub(super) struct Lease {
    /// Cancelled to cut the connections at once.
    pub(super) cut: CancellationToken,
    /// Cancelled to drain the connections: HTTP connections end after their open requests.
    pub(super) leave: CancellationToken,
}

impl Lease {
    /// A lease that ends with this one, or earlier by itself.
    pub(super) fn child(&self) -> Self {
        Self { cut: self.cut.child_token(), leave: self.leave.child_token() }
    }
}

impl InForce {
    /// A policy that has accepted no connection yet.
    pub(super) fn new(policy: ServicePolicy, lease: Lease) -> Self {
        let observing = policy.sites.observing_names().into_iter();
        let unproven = observing.map(|site| (site, lease.child())).collect();
        Self { policy, lease, unproven }
    }

    /// The successor of this policy, if `policy` trusts every certificate that this one trusts; and
    /// the leases that must end, because their sites stopped observing or lost a host.
    pub(super) fn followed_by(&self, policy: ServicePolicy) -> (Self, Vec<Lease>) {
        let mut next = Self::new(policy, self.lease.clone());
        let mut ended = Vec::new();
        for (site, lease) in &self.unproven {
            let stays = next.policy.sites.still_observes(&self.policy.sites, site);
            match next.unproven.get_mut(site).filter(|_| stays) {
                Some(same) => *same = lease.clone(),
                None => ended.push(lease.clone()),
            }
        }
        (next, ended)
    }

    /// The lease for a connection of this permit.
    pub(super) fn lease(&self, permit: &Permit) -> Lease {
        match permit.authentication() {
            Authentication::Certificate { .. } => self.lease.clone(),
            // A site of this policy issued the permit while it observed.
            Authentication::None(_) => match self.unproven.get(permit.site().name()) {
                Some(lease) => lease.clone(),
                None => self.lease.child(),
            },
        }
    }
}
