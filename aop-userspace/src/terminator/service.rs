//! The service: starts, reloads its policy, drains.
//!
//! Every task is its own, and ends with it. Each connection keeps the policy that stood when it was
//! accepted; a reload exchanges it for those that follow.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{accept::Accept, ledger::Ledger, listeners::Listener};
use crate::{
    edge::{Gate, PeerBook},
    tls::Sites,
};

/// What a reload exchanges as a whole.
pub struct Policy {
    /// What is served, to whom.
    pub sites: Sites,
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
    tasks: TaskTracker,
    accepting: CancellationToken,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) policy: ArcSwap<Policy>,
    pub(super) gate: Arc<dyn Gate>,
    pub(super) book: Arc<dyn PeerBook>,
    pub(super) ledger: Arc<Ledger>,
    /// Called when draining has taken too long.
    pub(super) cut: CancellationToken,
}

impl Service {
    /// Serves on `listeners`, at most `connections` at a time.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(
        listeners: Vec<Listener>,
        policy: Policy,
        gate: Arc<dyn Gate>,
        book: Arc<dyn PeerBook>,
        connections: usize,
    ) -> Self {
        let shared = Arc::new(Shared {
            policy: ArcSwap::from_pointee(policy),
            gate,
            book,
            ledger: Arc::default(),
            cut: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        let accepting = CancellationToken::new();
        let accept = Accept::new(listeners, connections, shared.clone(), tasks.clone());
        tasks.spawn(accepting.clone().run_until_cancelled_owned(accept.run()));
        Self { shared, tasks, accepting }
    }

    /// From now on, accepted connections follow `policy`.
    pub fn reload(&self, policy: Policy) {
        self.shared.policy.store(Arc::new(policy));
    }

    /// What it has seen.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// Stops listening at once, waits until open connections end, and cuts those that have not
    /// after `patience`.
    pub async fn drain(&self, patience: Duration) -> Drained {
        self.accepting.cancel();
        self.tasks.close();
        if timeout(patience, self.tasks.wait()).await.is_ok() {
            return Drained::Complete;
        }
        let open = self.tasks.len();
        self.shared.cut.cancel();
        self.tasks.wait().await;
        match open {
            0 => Drained::Complete,
            open => Drained::Cut(open),
        }
    }
}
