//! The listening sockets. Either all are bound or none is kept. Binding and listening are separate
//! steps, so that a firewall can be attached between them. Accepting is a third step, which another
//! process may do.

mod adopt;
mod published_socket;

pub use adopt::{AdoptError, adopt};
pub use published_socket::{PublishedSocket, SocketAccess, may_replace};

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    task::{Context, Poll},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

/// Completed connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 4096;

/// A bound socket that does not listen yet: the kernel resets a connection to it.
#[derive(Debug)]
pub struct BoundSocket {
    socket: Socket,
    address: SocketAddr,
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: StdListener,
    address: SocketAddr,
}

/// A listening socket that is registered with a runtime.
pub struct AsyncListener(TcpListener);

/// An address that cannot be listened on, with the remedy.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}{remedy}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The cause.
    #[source]
    pub error: io::Error,
    remedy: String,
}

/// Binds all `addresses`. A socket with an IPv6 address accepts no IPv4 connections (IPV6_V6ONLY).
///
/// # Errors
/// The first address that cannot be bound. No socket stays bound.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<BoundSocket>, BindError> {
    addresses
        .iter()
        .map(|&address| BoundSocket::new(address).map_err(|error| BindError::new(address, error)))
        .collect()
}

/// Starts listening on all of `bound`. The firewall must be attached before.
///
/// # Errors
/// The first address that cannot be listened on. No socket keeps listening.
pub fn listen(bound: Vec<BoundSocket>) -> Result<Vec<StdListener>, BindError> {
    let listen = |BoundSocket { socket, address }| match socket.listen(BACKLOG) {
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

impl BoundSocket {
    fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Accepted sockets inherit these options.
        set_tcp_options(SockRef::from(&socket))?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(Self { socket, address })
    }
}

impl Listener {
    /// Takes over a socket that already listens.
    ///
    /// # Errors
    /// `socket` cannot be made non-blocking, or has no address.
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

    /// Registers the listener with the current runtime.
    ///
    /// # Errors
    /// The runtime cannot register the socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn register(self) -> io::Result<AsyncListener> {
        TcpListener::from_std(self.socket).map(AsyncListener)
    }
}

impl AsyncListener {
    /// Accepts a connection: its stream and the address of its peer.
    ///
    /// # Errors
    /// accept(2) fails, for the listener or for one queued connection.
    pub fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.0.poll_accept(context)
    }
}

/// Sets TCP_NODELAY and keepalive. Keepalive detects a dead idle peer within three minutes; with
/// unacknowledged bytes the kernel gives up after about 15 minutes. There is no other idle timeout,
/// because the edge keeps idle connections as long, and no TCP_USER_TIMEOUT, because that would cut
/// peers that are alive but pause.
///
/// # Errors
/// The system refuses an option.
pub fn set_tcp_options(socket: SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(6);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_nodelay(true)
}

fn remedy(error: &io::Error, address: SocketAddr) -> String {
    let port = address.port();
    // The other kinds have no remedy.
    #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open-ended")]
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("; another process uses port {port}: `ss -ltnp 'sport = :{port}'` shows it")
        }
        io::ErrorKind::PermissionDenied => format!(
            "; port {port} needs CAP_NET_BIND_SERVICE or root \
             (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
        ),
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: `ip address` lists its addresses".into()
        }
        _ => String::new(),
    }
}
