//! Accepting while there are connection slots, and distributing connections to the workers.
//!
//! A connection takes a slot once its peer authenticates; until then it is a pending handshake.
//! Without a free slot, or without file descriptors, accepting pauses: new connections wait in the
//! kernel's queue, and open ones continue.

use std::{
    future::poll_fn,
    io,
    net::{self, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aop_listeners::AsyncListener;
use tokio::{net::TcpStream, time::sleep};

use super::{connection::serve_connection, service::Shared, workers::Worker};

/// How long accepting pauses when the machine is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The task that accepts.
pub(super) struct Acceptor {
    listeners: RoundRobin,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

/// The listeners, polled in rotation, so that a busy one does not starve the others.
struct RoundRobin {
    listeners: Vec<AsyncListener>,
    last: usize,
}

impl Acceptor {
    pub(super) fn new(
        listeners: Vec<AsyncListener>,
        shared: Arc<Shared>,
        workers: Vec<Worker>,
    ) -> Self {
        Self { listeners: RoundRobin { listeners, last: 0 }, shared, workers }
    }

    /// Accepts until it is dropped. Dropping it closes the listeners.
    pub(super) async fn run(self) {
        let Self { mut listeners, shared, workers } = self;
        let mut next = 0;
        // Whether the current pause is logged.
        let mut paused = false;
        loop {
            let accepted = poll_fn(|context| match shared.slots.available_permits() {
                0 => Poll::Ready(Ok(None)),
                _ => listeners.poll_accept(context).map_ok(Some),
            });
            match accepted.await.and_then(deregister) {
                Ok(None) => match shared.slots.acquire().await {
                    // A slot is free again; the next peer that authenticates takes it.
                    Ok(slot) => drop(slot),
                    Err(_) => return,
                },
                Ok(Some((stream, peer))) => {
                    paused = false;
                    next = least_loaded(&workers, next);
                    let worker = &workers[next];
                    let pools = worker.pools().clone();
                    worker.spawn(serve_connection(shared.clone(), pools, stream, peer));
                }
                // Only that connection failed.
                Err(error) if is_per_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut paused, true) {
                        tracing::error!(%error, "accepting pauses; open connections continue");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Deregisters a connection from this runtime; the worker registers it with its own.
fn deregister(
    accepted: Option<(TcpStream, SocketAddr)>,
) -> io::Result<Option<(net::TcpStream, SocketAddr)>> {
    let Some((stream, peer)) = accepted else { return Ok(None) };
    Ok(Some((stream.into_std()?, peer)))
}

/// The worker with the fewest connections; among equals, the first one after `last`.
fn least_loaded(workers: &[Worker], last: usize) -> usize {
    let order = (1..=workers.len()).map(|step| (last + step) % workers.len());
    order.min_by_key(|&number| workers[number].load()).unwrap_or(0)
}

impl RoundRobin {
    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let count = self.listeners.len();
        for _ in 0..count {
            self.last = (self.last + 1) % count;
            if let Poll::Ready(accepted) = self.listeners[self.last].poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

/// Whether an error concerns one queued connection: accept(2) also reports those. All other errors
/// are local, such as too many open files or no memory.
fn is_per_connection(error: &io::Error) -> bool {
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
