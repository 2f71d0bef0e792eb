//! The service: starts, reloads its policy, drains.
//!
//! Every task is its own, and ends with it. Each connection keeps the policy that stood when it was
//! accepted; a reload exchanges it for those that follow.

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
use aop_types::{Gate, PeerBook};
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
    ledger::Ledger,
    quiet::Quiet,
    workers::Workers,
};

/// What a reload exchanges as a whole.
pub struct Policy {
    /// What is served, to whom.
    pub sites: Sites,
    /// Who begins connections with a PROXY header.
    pub senders: ProxySenders,
    /// For ClientHello, handshake and upstream connect together.
    pub deadline: Duration,
}

/// How draining ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// Every connection came to its own end.
    Complete,
    /// So many were open at the deadline, and were cut.
    Cut(usize),
}

/// A running terminator.
pub struct Service {
    shared: Arc<Shared>,
    workers: Workers,
    accepting: CancellationToken,
    /// What trust that was taken away has let in, and when that is cut.
    condemned: Mutex<Vec<(Instant, CancellationToken)>>,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) in_force: ArcSwap<InForce>,
    pub(super) gate: Arc<dyn Gate>,
    pub(super) book: Arc<dyn PeerBook>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) crowd: Arc<Crowd>,
    /// One for each connection that is relayed.
    pub(super) slots: Arc<Semaphore>,
    /// One more for those of them that have proven nothing, where a site observes.
    pub(super) unproven: Arc<Semaphore>,
    pub(super) quiet: Arc<Quiet>,
    /// Called when draining has taken too long.
    pub(super) cut: CancellationToken,
}

impl Service {
    /// Serves on `listeners`, no more at a time than `limits` say.
    ///
    /// # Errors
    /// The system refuses threads, or lets nobody wait for a listener.
    pub fn start(
        listeners: Vec<Listener>,
        policy: Policy,
        gate: Arc<dyn Gate>,
        book: Arc<dyn PeerBook>,
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

    /// From now on, accepted connections follow `policy`. Where it believes fewer than the one
    /// before, the connections that are open have `patience` to end, and are cut then: they may rest
    /// on trust that is gone.
    pub fn reload(&self, policy: Policy, patience: Duration) {
        let before = self.shared.in_force.load_full();
        let observed = before.policy.sites.observing();
        for site in policy.sites.observing().difference(&observed) {
            self.shared.ledger.observe_anew(site);
        }
        if policy.sites.keep_the_trust_of(&before.policy.sites) {
            let (next, ended) = before.followed_by(policy);
            self.shared.in_force.store(Arc::new(next));
            if !ended.is_empty() {
                tracing::warn!(
                    ?patience,
                    "a site observes no more, or has lost a host: connections that proved nothing end \
                     by then"
                );
            }
            ended.into_iter().for_each(|lease| self.condemn(lease, patience));
            return;
        }
        let lease =
            Lease { cut: self.shared.cut.child_token(), leave: self.accepting.child_token() };
        self.shared.in_force.store(Arc::new(InForce::new(policy, lease)));
        tracing::warn!(?patience, "trust was taken away: connections from before end by then");
        self.condemn(before.lease.clone(), patience);
    }

    /// Has connections end by themselves, and cuts after `patience` those that have not.
    fn condemn(&self, lease: Lease, patience: Duration) {
        lease.leave.cancel();
        let accepting = self.accepting.clone();
        if let Some(end) = Instant::now().checked_add(patience) {
            let mut condemned = self.condemned();
            condemned.retain(|(_, cut)| !cut.is_cancelled());
            condemned.push((end, lease.cut.clone()));
        }
        self.workers.first().spawn(async move {
            // A drain sees to it itself.
            if accepting.run_until_cancelled(sleep(patience)).await.is_some() {
                lease.cut.cancel();
            }
        });
    }

    /// From now on the sites that `own` names observe, or do not, whatever the configuration says; all
    /// else stays. As for a reload, connections that rest on trust that is gone have `patience`.
    pub fn observe(&self, own: &BTreeMap<String, Mode>, patience: Duration) {
        let before = self.shared.in_force.load_full();
        let Policy { sites, senders, deadline } = &before.policy;
        let policy =
            Policy { sites: sites.under(own), senders: senders.clone(), deadline: *deadline };
        self.reload(policy, patience);
    }

    fn condemned(&self) -> MutexGuard<'_, Vec<(Instant, CancellationToken)>> {
        // Each change of it is whole.
        self.condemned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts what is condemned when its time has come, for ever.
    async fn execute(&self) -> Infallible {
        let mut condemned = self.condemned().clone();
        condemned.sort_by_key(|(end, _)| *end);
        for (end, cut) in condemned {
            sleep_until(end).await;
            cut.cancel();
        }
        pending().await
    }

    /// What it has seen.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// Stops listening at once, waits until open connections end, and cuts those that have not
    /// after `patience`, and no later what rests on trust that was taken away before.
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
