//! A server of a test: it accepts connections until it is dropped.

use std::io::Result;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use crate::Lab;

/// The time to wait for a peer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// The server. Its connections share an `S`.
#[derive(Debug)]
pub(crate) struct LoopbackServer<S> {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<S>,
    end: ServerEnd,
    thread: Option<JoinHandle<()>>,
}

/// Whether the server has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerEnd(Arc<AtomicBool>);

impl ServerEnd {
    fn is_reached(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until `seen` says so, for `time` at most, or until the server ends.
    pub(crate) fn wait(&self, time: Duration, seen: impl Fn() -> bool) {
        let begun = Instant::now();
        while !seen() && !self.is_reached() && begun.elapsed() < time {
            sleep(PAUSE);
        }
    }
}

impl<S: Send + Sync + 'static> LoopbackServer<S> {
    /// Starts on the loopback address of the origin. `speak` has a thread for each connection.
    pub(crate) fn start(
        lab: &Lab,
        shared: S,
        speak: fn(TcpStream, &S, &ServerEnd) -> Result<()>,
    ) -> anyhow::Result<Self> {
        let listener = lab.origin().inside(|| TcpListener::bind("127.0.0.1:0"))??;
        Ok(Self::on(listener, shared, speak)?)
    }

    /// As [`LoopbackServer::start`], on this listener.
    pub(crate) fn on(
        listener: TcpListener,
        shared: S,
        speak: fn(TcpStream, &S, &ServerEnd) -> Result<()>,
    ) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (shared, end) = (Arc::new(shared), ServerEnd::default());
        let (serving, until) = (Arc::clone(&shared), end.clone());
        let accept = move || {
            while !until.is_reached() {
                let Ok((stream, _)) = listener.accept() else {
                    sleep(PAUSE);
                    continue;
                };
                let (shared, end) = (Arc::clone(&serving), until.clone());
                // A peer may be killed by its test, or hang up on a bad answer: not an error.
                spawn(move || {
                    stream.set_nonblocking(false)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    speak(stream, &shared, &end)
                });
            }
        };
        Ok(Self { address, shared, end, thread: Some(spawn(accept)) })
    }
}

impl<S> Drop for LoopbackServer<S> {
    fn drop(&mut self) {
        self.end.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed.
            thread.join().ok();
        }
    }
}
