//! The listening sockets. All are bound, or none is kept. Binding and listening are two steps, so
//! that a firewall can be raised between them; accepting is a third, for another process perhaps.

mod adopted;

pub use adopted::{AdoptError, adopt};

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    task::{Context, Poll},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

/// Connections that the kernel completes and queues while none is accepted.
const BACKLOG: i32 = 4096;

/// A socket that has its address and does not listen yet: a connection to it is reset, not queued.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    address: SocketAddr,
}

/// A socket that listens, ready to accept.
#[derive(Debug)]
pub struct Listener {
    socket: StdListener,
    address: SocketAddr,
}

/// The same, waited for by a runtime.
pub struct Listening(TcpListener);

/// An address that cannot be listened on, and what to do.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}{remedy}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub error: io::Error,
    remedy: String,
}

/// Takes all `addresses`. An IPv6 address takes no IPv4 connections.
///
/// # Errors
/// The first address that cannot be had. None stays bound.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<Bound>, BindError> {
    addresses
        .iter()
        .map(|&address| Bound::new(address).map_err(|error| BindError::new(address, error)))
        .collect()
}

/// Begins to listen on all of `bound`. Whatever guards them must stand by now.
///
/// # Errors
/// The first address that cannot be had. None goes on listening.
pub fn listen(bound: Vec<Bound>) -> Result<Vec<StdListener>, BindError> {
    let listen = |Bound { socket, address }| match socket.listen(BACKLOG) {
        Ok(()) => Ok(StdListener::from(socket)),
        Err(error) => Err(BindError::new(address, error)),
    };
    bound.into_iter().map(listen).collect()
}

impl BindError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        Self { address, remedy: remedy(&error, address), error }
    }
}

impl Bound {
    fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // What is accepted inherits these.
        tune(SockRef::from(&socket))?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(Self { socket, address })
    }
}

impl Listener {
    /// A listener that somebody has made listen.
    ///
    /// # Errors
    /// It is no listening socket.
    pub fn adopt(socket: StdListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// To be called in the runtime that waits.
    pub fn attend(self) -> io::Result<Listening> {
        TcpListener::from_std(self.socket).map(Listening)
    }
}

impl Listening {
    pub fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.0.poll_accept(context)
    }
}

/// No waiting for more to send, and a far end that dies while idle is noticed in three minutes; with
/// bytes on the way the kernel gives up after a quarter of an hour. There is no idle timeout beside
/// this, since the edge keeps idle connections for as long, and no TCP_USER_TIMEOUT: that would cut far
/// ends that live and pause.
pub fn tune(socket: SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(6);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_nodelay(true)
}

fn remedy(error: &io::Error, address: SocketAddr) -> String {
    let port = address.port();
    // Each kind has its own remedy, and the others have none.
    #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open-ended")]
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("; another process has port {port}: `ss -ltnp 'sport = :{port}'` names it")
        }
        io::ErrorKind::PermissionDenied => format!(
            "; port {port} needs CAP_NET_BIND_SERVICE or root \
             (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
        ),
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: `ip address` lists those it has".into()
        }
        _ => String::new(),
    }
}
