//! A server that behaves as Cloudflare publishes its API for origin pulls, and as its edge does.
//!
//! It listens on the loopback address of the origin, from which aop may ask without TLS. A test
//! changes its [`ApiState`] as somebody does in the dashboard, plans [faults](PlannedFault), reads
//! the log of calls, and asks which certificate the edge would present now.
//!
//! Sources: Cloudflare's reference of the API. The numbers of errors about certificates are not
//! published; those here are our own.

mod faults;
mod http;
mod routes;
mod state;
mod uploads;

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub use self::faults::{Fault, PlannedFault};
pub use self::state::{
    ApiState, ApiToken, Delays, EdgePair, HostAssociation, Scope, StoredCertificate, ZoneState,
};
use crate::Lab;
use crate::loopback_server::{LoopbackServer, PATIENCE, ServerEnd};
use crate::pki::Credentials;

/// A call that the server received.
#[derive(Clone, Debug)]
pub struct ReceivedCall {
    /// The method.
    pub method: String,
    /// The path below the base of the API, with the query.
    pub path: String,
    /// The header Authorization.
    pub authorization: Option<String>,
    /// The body.
    pub body: Option<Value>,
    /// The status of the answer; `None` if the connection was cut.
    pub status: Option<u16>,
    /// When it came.
    pub at: Instant,
}

/// The server. It stops when dropped.
#[derive(Debug)]
pub struct CloudflareApi {
    server: LoopbackServer<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<ApiState>,
    faults: Mutex<Vec<PlannedFault>>,
    calls: Mutex<Vec<ReceivedCall>>,
    /// The process to kill; 0 while it is not known.
    caller: AtomicI32,
}

impl Shared {
    /// Kills the process that makes the calls, once it is known.
    fn kill_caller(&self, end: &ServerEnd) {
        end.wait(PATIENCE, || self.caller.load(Ordering::SeqCst) != 0);
        let pid = self.caller.swap(0, Ordering::SeqCst);
        if pid != 0 {
            // It may have ended by itself.
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReceivedCall {
    /// Method and path, without the query.
    #[must_use]
    pub fn line(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }
}

impl CloudflareApi {
    /// Starts a server on the loopback address of the origin.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(lab: &Lab) -> Result<Self> {
        Ok(Self { server: LoopbackServer::start(lab, Shared::default(), http::speak)? })
    }

    /// Starts a server on this listener.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn on(listener: TcpListener) -> Result<Self> {
        Ok(Self { server: LoopbackServer::on(listener, Shared::default(), http::speak)? })
    }

    /// The base of the API's URLs, for `[cloudflare] api`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.server.address, http::BASE)
    }

    /// Reads or changes the state, as somebody does in the dashboard.
    pub fn edit<T>(&self, change: impl FnOnce(&mut ApiState) -> T) -> T {
        change(&mut locked(&self.server.shared.state))
    }

    /// As [`CloudflareApi::edit`], for the zone of this name.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn edit_zone<T>(&self, name: &str, change: impl FnOnce(&mut ZoneState) -> T) -> T {
        self.edit(|state| change(state.zone(name).expect("a zone of this name")))
    }

    /// Plans a fault.
    pub fn plan(&self, fault: PlannedFault) {
        locked(&self.server.shared.faults).push(fault);
    }

    /// The planned faults that no call has met.
    #[must_use]
    pub fn planned(&self) -> Vec<PlannedFault> {
        locked(&self.server.shared.faults).clone()
    }

    /// Forgets all planned faults.
    pub fn heal(&self) {
        locked(&self.server.shared.faults).clear();
    }

    /// Names the process that [`Fault::KillBefore`] and [`Fault::KillAfter`] kill; `None` once it
    /// has ended.
    pub fn set_caller(&self, pid: Option<u32>) {
        let pid = pid.map_or(0, |pid| i32::try_from(pid).expect("a process"));
        self.server.shared.caller.store(pid, Ordering::SeqCst);
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<ReceivedCall> {
        locked(&self.server.shared.calls).clone()
    }

    /// The certificate and the key that the edge presents to the origin of `host` now.
    #[must_use]
    pub fn presented(&self, host: &str) -> Option<EdgePair> {
        locked(&self.server.shared.state).presented(host, Instant::now())
    }

    /// The same, in files of `directory`, for [`Pull::certificate`](crate::Pull::certificate).
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn presented_in(&self, host: &str, directory: &Path) -> Result<Option<Credentials>> {
        let Some(EdgePair { certificate, key, .. }) = self.presented(host) else { return Ok(None) };
        let files = Credentials {
            certificate: directory.join("presented.pem"),
            key: directory.join("presented.key"),
        };
        std::fs::write(&files.certificate, certificate).context("cannot write the certificate")?;
        std::fs::write(&files.key, key).context("cannot write the key")?;
        Ok(Some(files))
    }
}

#[cfg(test)]
mod tests;
