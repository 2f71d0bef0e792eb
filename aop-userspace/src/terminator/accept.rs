//! Accepting while there are slots.
//!
//! A slot is taken before a connection is accepted. Without one, or without file descriptors,
//! accepting pauses: connections wait in the kernel's queue, and those that are open live on.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{net::TcpStream, sync::Semaphore, time::sleep};
use tokio_util::task::TaskTracker;

use super::{connection::Connection, listeners::Listener, service::Shared};

/// How long accepting rests when the machine is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The task that accepts.
pub(super) struct Accept {
    listeners: Vec<Listener>,
    turn: usize,
    slots: Arc<Semaphore>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Accept {
    pub(super) fn new(
        listeners: Vec<Listener>,
        connections: usize,
        shared: Arc<Shared>,
        tasks: TaskTracker,
    ) -> Self {
        Self { listeners, turn: 0, slots: Arc::new(Semaphore::new(connections)), shared, tasks }
    }

    /// Accepts for ever. Dropping it closes the listeners.
    pub(super) async fn run(mut self) {
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
