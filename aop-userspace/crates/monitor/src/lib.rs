//! The monitor: serves `/healthz`, `/readyz` and `/metrics` over HTTP, and the status page at `/`.
//! The daemon makes the pages, and the data of the status page.
//!
//! Off unless configured, and reachable from this host alone. Its clients get few resources: a few
//! connections at a time, a short head, one request each, and some seconds for everything.

mod connection;
mod listener;
mod page;
mod request_host;
mod status_page;

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use aop_config::{MonitorAddress, MonitorConfig, StatusPage};
use listener::MonitorListener;
pub use page::{Page, PageStatus, Pages};
use rustix::process::Pid;
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;
const PAUSE: Duration = Duration::from_millis(100);
/// Time for clients that connected before a stop or a handover.
const LAST: Duration = Duration::from_millis(250);

/// The bound monitor.
#[derive(Debug)]
pub struct Monitor {
    listener: MonitorListener,
    address: MonitorAddress,
    page: StatusPage,
}

/// The address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; correct monitor.listen, or leave it out")]
pub struct MonitorError {
    address: MonitorAddress,
    error: io::Error,
}

/// The moments at which the monitor ends.
#[derive(Clone, Debug)]
pub struct MonitorEnd {
    /// The daemon stops.
    pub stop: CancellationToken,
    /// A successor answers.
    pub handed_over: CancellationToken,
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
    pub fn bind(
        config: &MonitorConfig,
        handed: Option<TcpListener>,
        before: Option<Pid>,
    ) -> Result<Self, MonitorError> {
        let MonitorConfig { address, page } = config;
        let listener = MonitorListener::take(address, handed, before);
        let failed = |error| MonitorError { address: address.clone(), error };
        Ok(Self { listener: listener.map_err(failed)?, address: address.clone(), page: *page })
    }

    /// Makes the socket visible to clients.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn publish(&self) -> Result<(), MonitorError> {
        let failed = |error| MonitorError { address: self.address.clone(), error };
        self.listener.publish().map_err(failed)
    }

    /// A copy of the socket for the successor, where that needs one.
    ///
    /// # Errors
    /// The system refuses.
    pub fn copy(&self) -> io::Result<Option<TcpListener>> {
        self.listener.copy()
    }

    /// Answers with `pages`, each connection in a task of `tasks`, until `end`.
    pub async fn serve(self, pages: impl Pages, tasks: TaskTracker, end: MonitorEnd) {
        let MonitorEnd { stop, handed_over } = end;
        let pages = Arc::new(pages);
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut leaving = false;
        loop {
            let next = async {
                // The semaphore is never closed.
                let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((slot, self.listener.accept().await?))
            };
            let ended = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = handed_over.cancelled() => {}
                }
            };
            let accepted = tokio::select! {
                () = ended, if !leaving => {
                    if !handed_over.is_cancelled() || !self.listener.has_its_own_queue() {
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
            let (connection, stop) =
                (connection::answer(stream, pages.clone(), self.page), stop.clone());
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
