//! Listening sockets that another process made, as in systemd's socket activation.

use std::{
    io,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    io::{Errno, FdFlags, fcntl_setfd},
    net::{
        AddressFamily, SocketType, ipproto,
        sockopt::{ipv6_v6only, socket_acceptconn, socket_domain, socket_protocol, socket_type},
    },
};
use socket2::SockRef;
use thiserror::Error;

use super::set_tcp_options;

/// Why a descriptor cannot be adopted.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// It is no listening TCP socket.
    #[error("no listening TCP socket")]
    NotListening,
    /// IPv4 peers would have IPv6-mapped addresses, which no list of prefixes contains.
    #[error("an IPv6 socket that accepts IPv4 connections too")]
    BothFamilies,
    /// A system call failed.
    #[error("a socket that cannot be used: {0}")]
    System(#[from] io::Error),
}

/// Configures `file` as [`bind`](super::bind) and [`listen`](super::listen) would. The descriptor
/// becomes close-on-exec, so that child processes do not inherit it.
///
/// # Errors
/// `file` is no listening TCP socket, or it accepts both address families.
pub fn adopt(file: OwnedFd) -> Result<TcpListener, AdoptError> {
    if !listens(file.as_fd())? {
        return Err(AdoptError::NotListening);
    }
    let system = |error: Errno| AdoptError::System(error.into());
    let domain = socket_domain(&file).map_err(system)?;
    if domain == AddressFamily::INET6 && !ipv6_v6only(&file).map_err(system)? {
        return Err(AdoptError::BothFamilies);
    }
    fcntl_setfd(&file, FdFlags::CLOEXEC).map_err(system)?;
    set_tcp_options(SockRef::from(&file))?;
    Ok(TcpListener::from(file))
}

fn listens(file: impl AsFd) -> Result<bool, io::Error> {
    let or_no_socket = |result: Result<bool, Errno>| match result {
        Err(Errno::NOTSOCK | Errno::BADF) => Ok(false),
        result => result.map_err(io::Error::from),
    };
    let is_ip = |domain| [AddressFamily::INET, AddressFamily::INET6].contains(&domain);
    Ok(or_no_socket(socket_domain(&file).map(is_ip))?
        && or_no_socket(socket_type(&file).map(|kind| kind == SocketType::STREAM))?
        && or_no_socket(socket_protocol(&file).map(|protocol| protocol == Some(ipproto::TCP)))?
        && or_no_socket(socket_acceptconn(&file))?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        net::{TcpStream, UdpSocket},
    };

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn only_a_listening_tcp_socket_is_adopted() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let connected = TcpStream::connect(address).expect("connected");
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let others: [OwnedFd; 4] = [
            File::open("/proc/self/status").expect("a file").into(),
            UdpSocket::bind("127.0.0.1:0").expect("a socket").into(),
            connected.into(),
            bound.into(),
        ];
        for other in others {
            assert!(matches!(adopt(other), Err(AdoptError::NotListening)));
        }
        let adopted = adopt(listener.into()).expect("adopted");
        assert_eq!(adopted.local_addr().expect("an address"), address);
        assert!(SockRef::from(&adopted).keepalive().expect("an option"), "keepalive is off");
    }

    #[test]
    fn a_socket_that_accepts_both_families_is_refused() {
        for (alone, adopted) in [(false, false), (true, true)] {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None).expect("a socket");
            socket.set_only_v6(alone).expect("set");
            socket.listen(1).expect("listens");
            assert_eq!(adopt(socket.into()).is_ok(), adopted);
        }
    }
}
