//! The service: starts, reloads its policy, drains.
//!
//! The service owns all its tasks, and they end with it. A connection keeps the policy that was in
//! force when it was accepted; a reload changes the policy for later connections.

use std::{
    collections::BTreeMap, convert::Infallible, future::pending, io, sync::Arc, time::Duration,
};

use aop_common::Mode;
use aop_config::{Limits, ProxySenders};
use aop_listeners::Listener;
use aop_tls::Sites;
use aop_types::{PeerGate, PeerRecord};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    accept::Acceptor,
    accept_policy::{AcceptPolicy, ShutdownTokens},
    counters::Counters,
    http::SlotUsage,
    log_limit::LogLimit,
    pending_handshakes::PendingHandshakes,
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

/// The open requests and tunnels at the upstream of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRequests {
    /// Requests.
    pub requests: SlotUsage,
    /// WebSockets and event streams.
    pub tunnels: SlotUsage,
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
    /// Cancelled soon after `accepting`: idle connections end.
    resting: CancellationToken,
    /// Connections that rest on withdrawn trust, and when they are cut.
    withdrawn: Mutex<Vec<(Instant, CancellationToken)>>,
}

/// The state that all connections share.
pub(super) struct Shared {
    pub(super) accept_policy: ArcSwap<AcceptPolicy>,
    pub(super) gate: Arc<dyn PeerGate>,
    pub(super) peers: Arc<dyn PeerRecord>,
    pub(super) counters: Arc<Counters>,
    pub(super) pending: Arc<PendingHandshakes>,
    /// One permit for each relayed connection.
    pub(super) slots: Arc<Semaphore>,
    /// A second permit for each relayed connection that is unauthenticated (observe mode).
    pub(super) unauthenticated_slots: Arc<Semaphore>,
    pub(super) log_limit: Arc<LogLimit>,
    /// Cancelled when draining exceeds its deadline.
    pub(super) cut: CancellationToken,
}

/// How long idle connections stay open in a drain: a request may be on its way.
const GRACE: Duration = Duration::from_secs(2);

/// The same within a drain of `drain_time`.
fn grace(drain_time: Duration) -> Duration {
    GRACE.min(drain_time / 2)
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
        peers: Arc<dyn PeerRecord>,
        limits: Limits,
    ) -> io::Result<Self> {
        let workers = Workers::start(limits.workers)?;
        let cut = CancellationToken::new();
        let accepting = CancellationToken::new();
        let resting = CancellationToken::new();
        let tokens = ShutdownTokens {
            cut: cut.child_token(),
            drain: accepting.child_token(),
            rest: resting.child_token(),
        };
        let counters = Arc::<Counters>::default();
        let accept_policy = AcceptPolicy::new(policy, tokens, &counters);
        let shared = Arc::new(Shared {
            accept_policy: ArcSwap::from_pointee(accept_policy),
            gate,
            peers,
            counters,
            pending: Arc::new(PendingHandshakes::new(limits.handshakes, limits.per_peer)),
            slots: Arc::new(Semaphore::new(limits.connections)),
            unauthenticated_slots: Arc::new(Semaphore::new((limits.connections / 2).max(1))),
            log_limit: Arc::default(),
            cut,
        });
        let main = workers.main();
        let listening = main.enter(|| listeners.into_iter().map(Listener::register).collect())?;
        let accept = Acceptor::new(listening, shared.clone(), workers.each().cloned().collect());
        main.spawn(accepting.clone().run_until_cancelled_owned(accept.run()));
        main.spawn(accepting.clone().run_until_cancelled_owned(shared.log_limit.clone().run()));
        for worker in workers.each() {
            let eviction = worker.pools().clone().evict_idle();
            worker.spawn(accepting.clone().run_until_cancelled_owned(eviction));
        }
        Ok(Self { shared, workers, accepting, resting, withdrawn: Mutex::default() })
    }

    /// Ends once every worker thread has run a task; never if one hangs.
    pub fn ping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.workers.ping()
    }

    /// Applies `policy` to connections that are accepted from now on. If it trusts less than the
    /// policy before it, open connections drain and are cut after `drain_time`: they may rest on
    /// trust that the new policy withdraws.
    pub fn reload(&self, policy: ServicePolicy, drain_time: Duration) {
        let Shared { accept_policy, counters, .. } = &*self.shared;
        let before = accept_policy.load_full();
        let observed = before.policy.sites.observing_names();
        for site in policy.sites.observing_names().difference(&observed) {
            counters.site(site).restart_observations();
        }
        if policy.sites.keeps_trust_of(&before.policy.sites) {
            let (next, ended) = before.succeed_with(policy, counters);
            accept_policy.store(Arc::new(next));
            if !ended.is_empty() {
                tracing::warn!(
                    patience = ?drain_time,
                    "a site stopped observing or lost a host: its unauthenticated connections \
                     drain, and are cut after `patience`"
                );
            }
            ended.into_iter().for_each(|tokens| self.drain_then_cut(tokens, drain_time));
            return;
        }
        let tokens = ShutdownTokens {
            cut: self.shared.cut.child_token(),
            drain: self.accepting.child_token(),
            rest: self.resting.child_token(),
        };
        accept_policy.store(Arc::new(AcceptPolicy::new(policy, tokens, counters)));
        tracing::warn!(
            patience = ?drain_time,
            "the new configuration trusts less than the old one: existing connections drain, and \
             are cut after `patience`"
        );
        self.drain_then_cut(before.tokens.clone(), drain_time);
    }

    /// Lets the connections of `tokens` drain, and cuts the remaining ones after `drain_time`.
    fn drain_then_cut(&self, tokens: ShutdownTokens, drain_time: Duration) {
        tokens.drain.cancel();
        let accepting = self.accepting.clone();
        if let Some(end) = Instant::now().checked_add(drain_time) {
            let mut withdrawn = self.withdrawn.lock();
            withdrawn.retain(|(_, cut)| !cut.is_cancelled());
            withdrawn.push((end, tokens.cut.clone()));
        }
        let grace = grace(drain_time);
        let running_out = async move {
            sleep(grace).await;
            tokens.rest.cancel();
            sleep(drain_time.saturating_sub(grace)).await;
            tokens.cut.cancel();
        };
        // During a drain, `drain` itself ends them.
        self.workers.main().spawn(accepting.run_until_cancelled_owned(running_out));
    }

    /// Applies the mode overrides of sites in `own`; everything else stays. As in a reload,
    /// connections that rest on withdrawn trust drain and are cut after `drain_time`.
    pub fn apply_mode_overrides(&self, own: &BTreeMap<String, Mode>, drain_time: Duration) {
        let before = self.shared.accept_policy.load_full();
        let ServicePolicy { sites, senders, deadline } = &before.policy;
        let policy = ServicePolicy {
            sites: sites.with_overrides(own),
            senders: senders.clone(),
            deadline: *deadline,
        };
        self.reload(policy, drain_time);
    }

    /// Cuts connections that rest on withdrawn trust at their deadlines. Never returns.
    async fn cut_at_deadlines(&self) -> Infallible {
        let mut withdrawn = self.withdrawn.lock().clone();
        withdrawn.sort_by_key(|(end, _)| *end);
        for (end, cut) in withdrawn {
            sleep_until(end).await;
            cut.cancel();
        }
        pending().await
    }

    /// The open requests and tunnels of each site that has some, by the site's name. Sites that
    /// share an upstream share them.
    #[must_use]
    pub fn open_requests(&self) -> BTreeMap<Arc<str>, OpenRequests> {
        let accept_policy = self.shared.accept_policy.load();
        let usage = |http| {
            let (requests, tunnels) = self.workers.slots().usage(http);
            OpenRequests { requests, tunnels }
        };
        let sites = accept_policy.policy.sites.each();
        let open = sites.filter_map(|site| Some((site.name().clone(), usage(site.http()?))));
        open.filter(|(_, open)| open.requests.open + open.tunnels.open > 0).collect()
    }

    /// The counters of this service.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// Stops listening at once, waits until open connections end, and cuts the remaining ones after
    /// `drain_time`. Connections that rest on withdrawn trust are cut at their own, earlier
    /// deadline.
    pub async fn drain(&self, drain_time: Duration) -> Drained {
        self.accepting.cancel();
        let resting = async {
            sleep(grace(drain_time)).await;
            self.resting.cancel();
            pending::<Infallible>().await
        };
        let ended = async {
            tokio::select! {
                () = self.workers.wait() => {}
                never = self.cut_at_deadlines() => match never {},
                never = resting => match never {},
            }
        };
        let drained = timeout(drain_time, ended).await;
        let open = self.workers.busy();
        if drained.is_err() {
            self.shared.cut.cancel();
            self.workers.wait().await;
        }
        for worker in self.workers.each() {
            worker.pools().close();
        }
        self.shared.log_limit.finish();
        match open {
            0 => Drained::Complete,
            open => Drained::Cut(open),
        }
    }
}
