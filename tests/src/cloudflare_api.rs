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

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub use self::faults::{Fault, PlannedFault};
pub use self::state::{
    ApiState, ApiToken, Delays, EdgePair, HostAssociation, Scope, StoredCertificate, ZoneState,
};
use crate::Lab;
use crate::pki::Credentials;

const PAUSE: Duration = Duration::from_millis(5);

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
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<ApiState>,
    faults: Mutex<Vec<PlannedFault>>,
    calls: Mutex<Vec<ReceivedCall>>,
    ended: AtomicBool,
    /// The process to kill; 0 while it is not known.
    caller: AtomicI32,
}

impl Shared {
    /// Kills the process that makes the calls, once it is known.
    fn kill_caller(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            match self.caller.swap(0, Ordering::SeqCst) {
                0 => sleep(PAUSE),
                pid => {
                    // It may have ended by itself.
                    kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
                    return;
                }
            }
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
        Self::on(lab.origin().inside(|| TcpListener::bind("127.0.0.1:0"))??)
    }

    /// Starts a server on this listener.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn on(listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let thread = Some(spawn(move || serve(&listener, &serving)));
        Ok(Self { address, shared, thread })
    }

    /// The base of the API's URLs, for `[cloudflare] api`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, http::BASE)
    }

    /// Reads or changes the state, as somebody does in the dashboard.
    pub fn edit<T>(&self, change: impl FnOnce(&mut ApiState) -> T) -> T {
        change(&mut locked(&self.shared.state))
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
        locked(&self.shared.faults).push(fault);
    }

    /// Forgets all planned faults.
    pub fn heal(&self) {
        locked(&self.shared.faults).clear();
    }

    /// Names the process that [`Fault::KillBefore`] and [`Fault::KillAfter`] kill.
    pub fn set_caller(&self, pid: u32) {
        let pid = i32::try_from(pid).expect("a process");
        self.shared.caller.store(pid, Ordering::SeqCst);
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<ReceivedCall> {
        locked(&self.shared.calls).clone()
    }

    /// The certificate and the key that the edge presents to the origin of `host` now.
    #[must_use]
    pub fn presented(&self, host: &str) -> Option<EdgePair> {
        locked(&self.shared.state).presented(host, Instant::now())
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

impl Drop for CloudflareApi {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed.
            thread.join().ok();
        }
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                // A caller may be killed by its test: not an error.
                spawn(move || http::speak(stream, &shared).ok());
            }
            Err(_) => sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests;
