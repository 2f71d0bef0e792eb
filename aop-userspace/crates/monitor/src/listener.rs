//! The listening socket of the monitor: a loopback port or a socket file. Both pass from one daemon
//! to the next without a moment in which none listens.

use std::{
    ffi::OsString,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    os::fd::AsFd,
    path::Path,
};

use aop_config::MonitorAddress;
use aop_listeners::{PublishedSocket, SocketAccess, may_replace};
use rustix::process::Pid;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};

/// The bound socket.
#[derive(Debug)]
pub(super) enum MonitorListener {
    Tcp(TcpListener),
    Unix(PublishedSocket),
}

/// A connection of either kind.
pub(super) trait MonitorStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> MonitorStream for T {}

impl MonitorListener {
    /// Binds the address, or takes the socket that was `handed` over. A socket file may still
    /// belong to the process `before`, the predecessor.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn take(
        address: &MonitorAddress,
        handed: Option<StdListener>,
        before: Option<Pid>,
    ) -> io::Result<Self> {
        match address {
            MonitorAddress::Loopback(address) => tcp(*address, handed).map(Self::Tcp),
            MonitorAddress::Socket(path) => socket_file(path, before).map(Self::Unix),
        }
    }

    /// Makes the socket visible to clients.
    pub(super) fn publish(&self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Unix(socket) => socket.publish(),
        }
    }

    /// A copy for the successor, where that needs one.
    pub(super) fn copy(&self) -> io::Result<Option<StdListener>> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned().map(|it| Some(it.into())),
            Self::Unix(_) => Ok(None),
        }
    }

    /// Whether clients that wait here reach no other daemon.
    pub(super) fn has_its_own_queue(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    pub(super) async fn accept(&self) -> io::Result<Box<dyn MonitorStream>> {
        Ok(match self {
            Self::Tcp(listener) => loop {
                let (stream, peer) = listener.accept().await?;
                // With route_localnet, neighbours of the host reach its loopback addresses.
                if peer.ip().is_loopback() {
                    break Box::new(stream);
                }
            },
            Self::Unix(socket) => Box::new(socket.accept().await?),
        })
    }
}

fn tcp(address: SocketAddr, handed: Option<StdListener>) -> io::Result<TcpListener> {
    let listener = handed.map_or_else(|| StdListener::bind(address), Ok)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Every user of this host who may enter the directory may connect, as over TCP.
fn socket_file(path: &Path, before: Option<Pid>) -> io::Result<PublishedSocket> {
    let mut unpublished = OsString::from(path);
    unpublished.push(".next");
    if !may_replace(path, before)? || !may_replace(unpublished.as_ref(), None)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    PublishedSocket::bind(path.into(), unpublished.into(), SocketAccess::Everybody)
}
