//! The monitor: serves `/healthz`, `/readyz` and `/metrics` over HTTP, and the status page at `/`.
//! The daemon makes the pages, and the data of the status page. `aop fleet page` serves the page of
//! a fleet in the same way.
//!
//! Off unless asked for, and reachable from this host alone. Its clients get few resources: a few
//! connections at a time, a short head, one request each, and some seconds for everything.

mod browser_page;
mod connection;
mod listener;
mod page;
mod request_host;
mod response;
mod routes;
mod server;

use std::{io, net::TcpListener};

use aop_config::{MonitorAddress, MonitorConfig, StatusPage};
use listener::MonitorListener;
pub use page::{FleetPages, Page, PageStatus, Pages};
use routes::{FleetRoutes, HostRoutes};
use rustix::process::Pid;
pub use server::MonitorEnd;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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
        let routes = HostRoutes { pages, status_page: self.page };
        server::serve(self.listener, routes, tasks, end).await;
    }
}

/// The bound server of the page of a fleet.
#[derive(Debug)]
pub struct FleetPageServer {
    listener: MonitorListener,
}

impl FleetPageServer {
    /// Binds the address.
    ///
    /// # Errors
    /// Another process has the address, or the socket cannot be made.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind(address: &MonitorAddress) -> io::Result<Self> {
        let listener = MonitorListener::take(address, None, None)?;
        listener.publish()?;
        Ok(Self { listener })
    }

    /// Answers with `pages` until `stop`.
    pub async fn serve(self, pages: impl FleetPages, stop: impl Future<Output = ()>) {
        let tasks = TaskTracker::new();
        let stopped = CancellationToken::new();
        let end = MonitorEnd { stop: stopped.clone(), handed_over: CancellationToken::new() };
        tokio::select! {
            () = server::serve(self.listener, FleetRoutes(pages), tasks.clone(), end) => {}
            () = stop => {}
        }
        stopped.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
