//! Accepting while there are slots.
//!
//! A slot is taken once a peer has authenticated; until then its connection is in the [`Crowd`].
//! Without a free slot, or without file descriptors, accepting pauses: connections wait in the
//! kernel's queue, and those that are open live on.
//!
//! [`Crowd`]: super::crowd::Crowd

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{net::TcpStream, time::sleep};
use tokio_util::task::TaskTracker;

use super::{connection::attend, listeners::Listener, service::Shared};

/// How long accepting rests when the machine is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The task that accepts.
pub(super) struct Accept {
    listeners: Vec<Listener>,
    turn: usize,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Accept {
    pub(super) fn new(listeners: Vec<Listener>, shared: Arc<Shared>, tasks: TaskTracker) -> Self {
        Self { listeners, turn: 0, shared, tasks }
    }

    /// Accepts for ever. Dropping it closes the listeners.
    pub(super) async fn run(mut self) {
        let mut short = Shortage::None;
        loop {
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(None) => match self.shared.slots.acquire().await {
                    // There is one; who authenticates first takes it.
                    Ok(slot) => drop(slot),
                    Err(_) => return,
                },
                Ok(Some((stream, peer))) => {
                    short = Shortage::None;
                    self.tasks.spawn(attend(self.shared.clone(), stream, peer));
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

    /// Each listener has its turn, so that a busy one does not keep the others waiting. `None`
    /// where there is no free slot.
    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
        if self.shared.slots.available_permits() == 0 {
            return Poll::Ready(Ok(None));
        }
        let count = self.listeners.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            if let Poll::Ready(accepted) = self.listeners[self.turn].poll_accept(context) {
                return Poll::Ready(accepted.map(Some));
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
