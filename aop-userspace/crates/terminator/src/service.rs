//! The service: starts, reloads its policy, drains.
//!
//! The service owns all its tasks, and they end with it. A connection keeps the policy that was in
//! force when it was accepted; a reload changes the policy for later connections.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::pending,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aop_common::Mode;
use aop_config::{Limits, ProxySenders};
use aop_listeners::Listener;
use aop_tls::Sites;
use aop_types::{PeerGate, PeerRecord};
use arc_swap::ArcSwap;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    accept::Accept,
    crowd::Crowd,
    in_force::{InForce, Lease},
    ledger::Counters,
    quiet::Quiet,
    workers::Workers,
};

/// The settings that a reload replaces as one unit.
pub struct ServicePolicy {
    /// The sites, each with its trust.
    pub sites: Sites,
    /// The addresses whose connections begin with a PROXY header.
    pub senders: ProxySenders,
    /// The time for ClientHello, handshake and upstream connect together.
    pub deadline: Duration,
}

/// How draining ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// Every connection ended by itself.
    Complete,
    /// The number of connections that were open at the deadline and were cut.
    Cut(usize),
}

/// A running terminator.
pub struct Service {
    shared: Arc<Shared>,
    workers: Workers,
    accepting: CancellationToken,
    /// Connections that rest on withdrawn trust, and when they are cut.
    condemned: Mutex<Vec<(Instant, CancellationToken)>>,
}

/// The state that all connections share.
pub(super) struct Shared {
    pub(super) in_force: ArcSwap<InForce>,
    pub(super) gate: Arc<dyn PeerGate>,
    pub(super) book: Arc<dyn PeerRecord>,
    pub(super) ledger: Arc<Counters>,
    pub(super) crowd: Arc<Crowd>,
    /// One permit for each relayed connection.
    pub(super) slots: Arc<Semaphore>,
    /// A second permit for each relayed connection that is unauthenticated (observe mode).
    pub(super) unproven: Arc<Semaphore>,
    pub(super) quiet: Arc<Quiet>,
    /// Cancelled when draining exceeds its deadline.
    pub(super) cut: CancellationToken,
}

impl Service {
    /// Serves on `listeners`, within `limits`.
    ///
    /// # Errors
    /// The system refuses to start a thread or to register a listener with a runtime.
    pub fn start(
        listeners: Vec<Listener>,
        policy: ServicePolicy,
        gate: Arc<dyn PeerGate>,
        book: Arc<dyn PeerRecord>,
        limits: Limits,
    ) -> io::Result<Self> {
        let workers = Workers::start(limits.workers)?;
        let cut = CancellationToken::new();
        let accepting = CancellationToken::new();
        let lease = Lease { cut: cut.child_token(), leave: accepting.child_token() };
        let in_force = InForce::new(policy, lease);
        let shared = Arc::new(Shared {
            in_force: ArcSwap::from_pointee(in_force),
            gate,
            book,
            ledger: Arc::default(),
            crowd: Arc::new(Crowd::new(limits.handshakes, limits.per_peer)),
            slots: Arc::new(Semaphore::new(limits.connections)),
            unproven: Arc::new(Semaphore::new((limits.connections / 2).max(1))),
            quiet: Arc::default(),
            cut,
        });
        let first = workers.first();
        let listening = first.within(|| listeners.into_iter().map(Listener::attend).collect())?;
        let accept = Accept::new(listening, shared.clone(), workers.each().cloned().collect());
        first.spawn(accepting.clone().run_until_cancelled_owned(accept.run()));
        first.spawn(accepting.clone().run_until_cancelled_owned(shared.quiet.clone().tend()));
        for worker in workers.each() {
            let tending = worker.pools().clone().tend();
            worker.spawn(accepting.clone().run_until_cancelled_owned(tending));
        }
        Ok(Self { shared, workers, accepting, condemned: Mutex::default() })
    }

    /// Applies `policy` to connections that are accepted from now on. If it trusts less than the
    /// policy before it, open connections drain and are cut after `patience`: they may rest on
    /// trust that the new policy withdraws.
    pub fn reload(&self, policy: ServicePolicy, patience: Duration) {
        let before = self.shared.in_force.load_full();
        let observed = before.policy.sites.observing_names();
        for site in policy.sites.observing_names().difference(&observed) {
            self.shared.ledger.observe_anew(site);
        }
        if policy.sites.keeps_trust_of(&before.policy.sites) {
            let (next, ended) = before.followed_by(policy);
            self.shared.in_force.store(Arc::new(next));
            if !ended.is_empty() {
                tracing::warn!(
                    ?patience,
                    "a site stopped observing or lost a host: its unauthenticated connections \
                     drain, and are cut after `patience`"
                );
            }
            ended.into_iter().for_each(|lease| self.condemn(lease, patience));
            return;
        }
        let lease =
            Lease { cut: self.shared.cut.child_token(), leave: self.accepting.child_token() };
        self.shared.in_force.store(Arc::new(InForce::new(policy, lease)));
        tracing::warn!(
            ?patience,
            "the new configuration trusts less than the old one: existing connections drain, and \
             are cut after `patience`"
        );
        self.condemn(before.lease.clone(), patience);
    }

    /// Lets the connections of `lease` drain, and cuts the remaining ones after `patience`.
    fn condemn(&self, lease: Lease, patience: Duration) {
        lease.leave.cancel();
        let accepting = self.accepting.clone();
        if let Some(end) = Instant::now().checked_add(patience) {
            let mut condemned = self.condemned();
            condemned.retain(|(_, cut)| !cut.is_cancelled());
            condemned.push((end, lease.cut.clone()));
        }
        self.workers.first().spawn(async move {
            // During a drain, `execute` cuts them instead.
            if accepting.run_until_cancelled(sleep(patience)).await.is_some() {
                lease.cut.cancel();
            }
        });
    }

    /// Applies the mode overrides of sites in `own`; everything else stays. As in a reload,
    /// connections that rest on withdrawn trust drain and are cut after `patience`.
    pub fn observe(&self, own: &BTreeMap<String, Mode>, patience: Duration) {
        let before = self.shared.in_force.load_full();
        let ServicePolicy { sites, senders, deadline } = &before.policy;
        let policy = ServicePolicy {
            sites: sites.with_overrides(own),
            senders: senders.clone(),
            deadline: *deadline,
        };
        self.reload(policy, patience);
    }

    fn condemned(&self) -> MutexGuard<'_, Vec<(Instant, CancellationToken)>> {
        // A poisoned lock is safe to use: no update leaves the list half-changed.
        self.condemned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts condemned connections at their deadlines. Never returns.
    async fn execute(&self) -> Infallible {
        let mut condemned = self.condemned().clone();
        condemned.sort_by_key(|(end, _)| *end);
        for (end, cut) in condemned {
            sleep_until(end).await;
            cut.cancel();
        }
        pending().await
    }

    /// The counters of this service.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Counters> {
        &self.shared.ledger
    }

    /// Stops listening at once, waits until open connections end, and cuts the remaining ones after
    /// `patience`. Connections that rest on withdrawn trust are cut at their own, earlier deadline.
    pub async fn drain(&self, patience: Duration) -> Drained {
        self.accepting.cancel();
        let ends = async {
            tokio::select! {
                () = self.workers.wait() => {}
                never = self.execute() => match never {},
            }
        };
        let drained = timeout(patience, ends).await;
        let open = self.workers.busy();
        if drained.is_err() {
            self.shared.cut.cancel();
            self.workers.wait().await;
        }
        for worker in self.workers.each() {
            worker.pools().close().await;
        }
        self.shared.quiet.finish();
        match open {
            0 => Drained::Complete,
            open => Drained::Cut(open),
        }
    }
}
