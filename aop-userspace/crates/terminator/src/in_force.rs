//! The policy in force, and what ends the connections that it let in.
//!
//! Who has proven nothing is let in for as long as its site observes, so the connections of each such
//! site end apart from all others.

use std::{collections::HashMap, sync::Arc};

use aop_tls::{Permit, Proof};
use tokio_util::sync::CancellationToken;

use super::service::Policy;

/// See the module's page.
pub(super) struct InForce {
    pub(super) policy: Policy,
    pub(super) lease: Lease,
    /// Of who has proven nothing, by the site that observes.
    unproven: HashMap<Arc<str>, Lease>,
}

/// What ends connections.
#[derive(Clone)]
pub(super) struct Lease {
    /// Called when they are cut.
    pub(super) cut: CancellationToken,
    /// Called when they shall come to an end by themselves.
    pub(super) leave: CancellationToken,
}

impl Lease {
    /// One that ends by itself or with this one.
    pub(super) fn child(&self) -> Self {
        Self { cut: self.cut.child_token(), leave: self.leave.child_token() }
    }
}

impl InForce {
    /// A policy that nobody was let in by yet.
    pub(super) fn new(policy: Policy, lease: Lease) -> Self {
        let observing = policy.sites.observing().into_iter();
        let unproven = observing.map(|site| (site, lease.child())).collect();
        Self { policy, lease, unproven }
    }

    /// `policy` in the place of this one, where it believes everybody whom this one believed by
    /// certificate; and the leases that end with this one, since their sites observe no more, or have lost
    /// a host.
    pub(super) fn followed_by(&self, policy: Policy) -> (Self, Vec<Lease>) {
        let mut next = Self::new(policy, self.lease.clone());
        let mut ended = Vec::new();
        for (site, lease) in &self.unproven {
            let stays = next.policy.sites.observe_where(&self.policy.sites, site);
            match next.unproven.get_mut(site).filter(|_| stays) {
                Some(same) => *same = lease.clone(),
                None => ended.push(lease.clone()),
            }
        }
        (next, ended)
    }

    /// What ends a connection of this permit.
    pub(super) fn lease(&self, permit: &Permit) -> Lease {
        match permit.proof() {
            Proof::Certificate { .. } => self.lease.clone(),
            // The permit was made by a site of this policy that observes.
            Proof::Nothing(_) => match self.unproven.get(permit.site().name()) {
                Some(lease) => lease.clone(),
                None => self.lease.child(),
            },
        }
    }
}
