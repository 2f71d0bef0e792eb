//! A policy, with the counters of its sites and the tokens that end the connections it accepted.
//!
//! Unauthenticated peers are served only while their site observes. So the unauthenticated
//! connections of each observing site have shutdown tokens of their own.

use std::{collections::HashMap, sync::Arc};

use aop_tls::{Authentication, Permit};
use tokio_util::sync::CancellationToken;

use super::{
    counters::{Counters, SiteCounters},
    service::ServicePolicy,
};

/// A policy, with the counters of its sites and the shutdown tokens of the connections that it
/// accepted.
pub(super) struct AcceptPolicy {
    pub(super) policy: ServicePolicy,
    pub(super) tokens: ShutdownTokens,
    /// The tokens of unauthenticated connections, by observing site.
    unauthenticated: HashMap<Arc<str>, ShutdownTokens>,
    counters: HashMap<Arc<str>, Arc<SiteCounters>>,
}

/// The tokens that end a group of connections.
#[derive(Clone)]
pub(super) struct ShutdownTokens {
    /// Cancelled to cut the connections at once.
    pub(super) cut: CancellationToken,
    /// Cancelled to drain the connections: HTTP connections end after their open requests. One that
    /// is idle may still get a request that is on its way.
    pub(super) drain: CancellationToken,
    /// Cancelled soon after `drain`: idle HTTP connections end.
    pub(super) rest: CancellationToken,
}

impl ShutdownTokens {
    /// Tokens that are cancelled with these, or earlier by themselves.
    pub(super) fn child(&self) -> Self {
        let Self { cut, drain, rest } = self;
        Self { cut: cut.child_token(), drain: drain.child_token(), rest: rest.child_token() }
    }
}

impl AcceptPolicy {
    /// A policy that has accepted no connection yet. Its sites continue their counts in `counters`.
    pub(super) fn new(policy: ServicePolicy, tokens: ShutdownTokens, counters: &Counters) -> Self {
        let observing = policy.sites.observing_names().into_iter();
        let unauthenticated = observing.map(|site| (site, tokens.child())).collect();
        let names = policy.sites.names().into_iter();
        let counters = names.map(|site| (site.clone(), counters.site(&site))).collect();
        Self { policy, tokens, unauthenticated, counters }
    }

    /// The successor of this policy, if `policy` trusts every certificate that this one trusts; and
    /// the tokens of connections that must end, because their sites stopped observing or lost a
    /// host.
    pub(super) fn succeed_with(
        &self,
        policy: ServicePolicy,
        counters: &Counters,
    ) -> (Self, Vec<ShutdownTokens>) {
        let mut next = Self::new(policy, self.tokens.clone(), counters);
        let mut ended = Vec::new();
        for (site, tokens) in &self.unauthenticated {
            let stays = next.policy.sites.still_observes(&self.policy.sites, site);
            match next.unauthenticated.get_mut(site).filter(|_| stays) {
                Some(same) => *same = tokens.clone(),
                None => ended.push(tokens.clone()),
            }
        }
        (next, ended)
    }

    /// The counters of `site`, which is one of this policy's sites, without a lock.
    pub(super) fn counters(&self, site: &Arc<str>, all: &Counters) -> Arc<SiteCounters> {
        self.counters.get(site).cloned().unwrap_or_else(|| all.site(site))
    }

    /// The tokens for a connection of this permit.
    pub(super) fn tokens(&self, permit: &Permit) -> ShutdownTokens {
        match permit.authentication() {
            Authentication::Certificate { .. } => self.tokens.clone(),
            // A site of this policy issued the permit while it observed.
            Authentication::None(_) => match self.unauthenticated.get(permit.site().name()) {
                Some(tokens) => tokens.clone(),
                None => self.tokens.child(),
            },
        }
    }
}
