//! Tells this host, over HTTP, how aop does: whether it lives, and whether it serves.
//!
//! Off unless it is configured, and reached from this host alone. Whoever asks gets little room: a few
//! connections at a time, a short head, one request each, some seconds for all of it.

mod page;
mod pulse;
mod readiness;

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use page::Pages;
pub(super) use pulse::{Beats, Pulse, pulse};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Daemon;
use crate::config::MonitorAddress;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;
/// For a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// For a connection.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest head, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;
const PAUSE: Duration = Duration::from_millis(100);

/// The place where is asked, taken.
#[derive(Debug)]
pub(super) struct Monitor(Listener);

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// The place cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; correct monitor.listen, or leave it out")]
pub struct MonitorError {
    address: MonitorAddress,
    error: io::Error,
}

impl Monitor {
    /// Takes the place.
    ///
    /// # Errors
    /// Another has it, or it cannot be made.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn bind(address: &MonitorAddress) -> Result<Self, MonitorError> {
        let bound = match address {
            MonitorAddress::Loopback(address) => tcp(*address),
            MonitorAddress::Socket(path) => socket(path),
        };
        match bound {
            Ok(listener) => Ok(Self(listener)),
            Err(error) => Err(MonitorError { address: address.clone(), error }),
        }
    }

    /// Answers about `daemon`, until `stop`.
    pub(super) async fn serve(
        self,
        daemon: Arc<Daemon>,
        pulse: Pulse,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        let pages = Arc::new(Pages::new(daemon, pulse));
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let next = async {
                // It is never closed.
                let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((slot, self.0.accept().await?))
            };
            let (slot, stream) = match stop.run_until_cancelled(next).await {
                None => return,
                Some(Ok(accepted)) => accepted,
                Some(Err(error)) => {
                    tracing::warn!("monitor: cannot accept: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let connection = stop.clone().run_until_cancelled_owned(answer(stream, pages.clone()));
            tasks.spawn(async move {
                connection.await;
                drop(slot);
            });
        }
    }
}

/// Either kind of connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => loop {
                let (stream, peer) = listener.accept().await?;
                // Where a host routes its loopback (route_localnet), neighbours reach it.
                if peer.ip().is_loopback() {
                    break Box::new(stream);
                }
            },
            Self::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

async fn answer(stream: Box<dyn Stream>, pages: Arc<Pages>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| {
                let pages = pages.clone();
                async move { pages.answer(request.method(), request.uri().path()).await }
            }),
        );
    // Who asks and hangs, or leaves, does that at his own cost.
    match timeout(LONGEST, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("monitor: {error}"),
        Err(_) => tracing::debug!("monitor: a connection took too long"),
    }
}

fn tcp(address: std::net::SocketAddr) -> io::Result<Listener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Tcp(TcpListener::from_std(listener)?))
}

/// Everybody on this host may ask, as over TCP, who may enter the directory.
fn socket(path: &Path) -> io::Result<Listener> {
    let left = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    // One that nobody listens on any more was left by a daemon that was killed.
    if left && UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(Listener::Unix(listener, path.into()))
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::debug!("{}: {error}", path.display());
        }
    }
}
