//! The monitor: answers `/healthz`, `/readyz` and `/metrics` over HTTP.
//!
//! Off unless configured, and reachable from this host alone. Its clients get few resources: a few
//! connections at a time, a short head, one request each, and some seconds for everything.

mod cached;
mod listener;
mod liveness;
mod metrics;
mod page;
mod readiness;

use std::{io, sync::Arc, time::Duration};

use aop_config::MonitorAddress;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use listener::{MonitorListener, MonitorStream};
pub(super) use liveness::{LivenessProbe, LivenessResponder, liveness};
use page::Pages;
use rustix::process::Pid;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Daemon;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;
/// Time for a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// Time for a whole connection.
const LONGEST: Duration = Duration::from_secs(10);
/// Greatest size of a head in bytes.
const LONGEST_HEAD: usize = 8 * 1024;
const PAUSE: Duration = Duration::from_millis(100);
/// Time for clients that connected before a stop or a handover.
const LAST: Duration = Duration::from_millis(250);

/// The bound monitor.
#[derive(Debug)]
pub(super) struct Monitor {
    listener: MonitorListener,
    address: MonitorAddress,
}

/// The address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; correct monitor.listen, or leave it out")]
pub struct MonitorError {
    address: MonitorAddress,
    error: io::Error,
}

impl Monitor {
    /// Binds the address under an unpublished name, or takes the socket that was `handed` over. A
    /// socket file may still belong to the process `before`, the predecessor.
    ///
    /// # Errors
    /// Another process has the address, or the socket cannot be made.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn bind(
        address: &MonitorAddress,
        handed: Option<std::net::TcpListener>,
        before: Option<Pid>,
    ) -> Result<Self, MonitorError> {
        let listener = MonitorListener::take(address, handed, before);
        let failed = |error| MonitorError { address: address.clone(), error };
        Ok(Self { listener: listener.map_err(failed)?, address: address.clone() })
    }

    /// Makes the socket visible to clients.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(super) fn publish(&self) -> Result<(), MonitorError> {
        let failed = |error| MonitorError { address: self.address.clone(), error };
        self.listener.publish().map_err(failed)
    }

    /// A copy of the socket for the successor, where that needs one.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn copy(&self) -> io::Result<Option<std::net::TcpListener>> {
        self.listener.copy()
    }

    /// Answers until `stop`, or until a successor answers.
    pub(super) async fn serve(
        self,
        daemon: Arc<Daemon>,
        probe: LivenessProbe,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        let pages = Arc::new(Pages::new(Arc::clone(&daemon), probe));
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut leaving = false;
        loop {
            let next = async {
                // The semaphore is never closed.
                let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((slot, self.listener.accept().await?))
            };
            let accepted = tokio::select! {
                () = stopped(&daemon, &stop), if !leaving => {
                    if !daemon.lifecycle.is_handed_over() || !self.listener.has_its_own_queue() {
                        return;
                    }
                    leaving = true;
                    continue;
                }
                () = sleep(LAST), if leaving => return,
                accepted = next => accepted,
            };
            let (slot, stream) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("monitor: cannot accept: {error}");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (connection, stop) = (answer(stream, pages.clone()), stop.clone());
            tasks.spawn(async move {
                let end = async {
                    stop.cancelled().await;
                    sleep(LAST).await;
                };
                tokio::select! {
                    () = connection => {}
                    () = end => {}
                }
                drop(slot);
            });
        }
    }
}

/// Waits until this daemon stops, or a successor has taken over.
async fn stopped(daemon: &Daemon, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = daemon.lifecycle.handed_over() => {}
    }
}

async fn answer(stream: Box<dyn MonitorStream>, pages: Arc<Pages>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| {
                let pages = pages.clone();
                async move { pages.answer(&request).await }
            }),
        );
    // A client that hangs or disconnects is no error of the daemon.
    match timeout(LONGEST, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("monitor: {error}"),
        Err(_) => tracing::debug!("monitor: a connection took too long"),
    }
}
