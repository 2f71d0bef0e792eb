//! The service: accepts while there are slots, reloads its policy, drains.
//!
//! A slot is taken before a connection is accepted. Without one, accepting pauses: connections wait
//! in the kernel's queue, and those that are open are not touched. Each connection keeps the policy
//! that stood when it was accepted.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{connection::Connection, ledger::Ledger, listeners::Listener};
use crate::{
    edge::{Gate, PeerBook},
    tls::Sites,
};

/// How long accepting rests when the machine is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

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
        let accept = Accept {
            listeners,
            turn: 0,
            slots: Arc::new(Semaphore::new(connections)),
            shared: shared.clone(),
            tasks: tasks.clone(),
        };
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

/// The task that accepts.
struct Accept {
    listeners: Vec<Listener>,
    turn: usize,
    slots: Arc<Semaphore>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Accept {
    async fn run(mut self) {
        let mut short = Shortage::None;
        loop {
            let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok((stream, peer)) => {
                    short = Shortage::None;
                    let connection = Connection::new(self.shared.clone(), peer, slot);
                    self.tasks.spawn(connection.run(stream));
                }
                // That connection is gone already; the next may not be.
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    if short == Shortage::None {
                        tracing::error!(%error, "accepting pauses; open connections live on");
                        short = Shortage::Logged;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Each listener has its turn, so that a busy one does not keep the others waiting.
    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let count = self.listeners.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            if let Poll::Ready(accepted) = self.listeners[self.turn].poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

#[derive(PartialEq, Eq)]
enum Shortage {
    None,
    Logged,
}

/// accept(2) also reports what befell the connection in the queue. Everything else is ours: too
/// many open files, no memory.
fn is_the_peers(error: &io::Error) -> bool {
    [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::NetworkDown,
        io::ErrorKind::TimedOut,
    ]
    .contains(&error.kind())
}
