//! Accepting while there are connection slots, and distributing connections to the workers.
//!
//! A connection takes a slot once its peer authenticates; until then it is a pending handshake (see
//! [`Crowd`]). Without a free slot, or without file descriptors, accepting pauses: new connections
//! wait in the kernel's queue, and open ones continue.
//!
//! [`Crowd`]: super::pending_handshakes::Crowd

use std::{
    future::poll_fn,
    io,
    net::{self, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aop_listeners::Listening;
use tokio::{net::TcpStream, time::sleep};

use super::{connection::attend, service::Shared, workers::Worker};

/// How long accepting pauses when the machine is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The task that accepts.
pub(super) struct Accept {
    turns: Turns,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

/// The listeners, polled in rotation, so that a busy one does not starve the others.
struct Turns {
    listeners: Vec<Listening>,
    turn: usize,
}

impl Accept {
    pub(super) fn new(
        listeners: Vec<Listening>,
        shared: Arc<Shared>,
        workers: Vec<Worker>,
    ) -> Self {
        Self { turns: Turns { listeners, turn: 0 }, shared, workers }
    }

    /// Accepts until it is dropped. Dropping it closes the listeners.
    pub(super) async fn run(self) {
        let Self { mut turns, shared, workers } = self;
        let mut next = 0;
        let mut short = Shortage::None;
        loop {
            let accepted = poll_fn(|context| match shared.slots.available_permits() {
                0 => Poll::Ready(Ok(None)),
                _ => turns.poll_accept(context).map_ok(Some),
            });
            match accepted.await.and_then(free) {
                Ok(None) => match shared.slots.acquire().await {
                    // A slot is free again; the next peer that authenticates takes it.
                    Ok(slot) => drop(slot),
                    Err(_) => return,
                },
                Ok(Some((stream, peer))) => {
                    short = Shortage::None;
                    next = least(&workers, next);
                    let worker = &workers[next];
                    let pools = worker.pools().clone();
                    worker.spawn(attend(shared.clone(), pools, stream, peer));
                }
                // Only that connection failed.
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    if short == Shortage::None {
                        tracing::error!(%error, "accepting pauses; open connections continue");
                        short = Shortage::Logged;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Deregisters a connection from this runtime; the worker registers it with its own.
fn free(
    accepted: Option<(TcpStream, SocketAddr)>,
) -> io::Result<Option<(net::TcpStream, SocketAddr)>> {
    let free = |(stream, peer): (TcpStream, SocketAddr)| Ok((stream.into_std()?, peer));
    accepted.map(free).transpose()
}

/// The worker with the fewest connections; among equals, the first one after `last`.
fn least(workers: &[Worker], last: usize) -> usize {
    let order = (1..=workers.len()).map(|step| (last + step) % workers.len());
    order.min_by_key(|&number| workers[number].load()).unwrap_or(0)
}

impl Turns {
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

/// Whether an error concerns one queued connection: accept(2) also reports those. All other errors
/// are local, such as too many open files or no memory.
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
