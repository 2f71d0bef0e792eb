//! The listening sockets: handed over, or bound here. The daemon never accepts on them; it keeps
//! copies for its successor.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aop_listeners::{AdoptError, BindError, BoundSocket};
use socket2::SockRef;

/// Listening sockets from another process.
pub(super) enum SocketOrigin {
    /// From the predecessor. Those that are not needed are closed.
    Predecessor(Vec<OwnedFd>),
    /// From the service manager, each with its name there. One that is not needed is an error: it
    /// would keep listening, and no process would answer.
    Activation(Vec<(Option<String>, OwnedFd)>),
}

/// A socket for one address.
pub(super) enum ListeningSocket {
    /// Bound, not listening yet.
    Bound(BoundSocket),
    /// Listening already; connections may wait in its queue.
    Listening(TcpListener),
}

/// Why an address cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A descriptor is not a suitable socket.
    #[error(
        "the service manager hands over {what}, {error}; the socket unit may have ListenStream= \
         with an address and port, and BindIPv6Only=ipv6-only"
    )]
    Unfit {
        /// The descriptor.
        what: String,
        /// The defect.
        error: AdoptError,
    },
    /// No listener of the configuration binds its address.
    #[error(
        "the service manager hands over {what}, {address}, which no [[listener]] binds; add it to \
         listener.bind, or take it out of the socket unit"
    )]
    Unwanted {
        /// The descriptor.
        what: String,
        /// Its address.
        address: SocketAddr,
    },
    /// The variables of socket activation are malformed.
    #[error(
        "LISTEN_PID or LISTEN_FDS, by which a service manager hands over sockets, is not a number"
    )]
    Variables,
    /// A system call failed.
    #[error("a listening socket: {0}")]
    System(#[from] io::Error),
}

/// The sockets of the service manager. Call it once: it takes ownership of them.
pub(super) fn activated() -> Result<Vec<(Option<String>, OwnedFd)>, SocketError> {
    let sockets = sd_listen_fds::get().map_err(|_| SocketError::Variables)?;
    Ok(sockets.into_iter().map(|(name, file)| (name, file.into_std())).collect())
}

/// Sockets for all `addresses`, from `handed` where it has them.
pub(super) fn take(
    addresses: &[SocketAddr],
    handed: SocketOrigin,
) -> Result<Vec<ListeningSocket>, SocketError> {
    let mut open = handed.adopt()?;
    let mut listening = Vec::new();
    let mut missing = Vec::new();
    for address in addresses {
        match open.iter().position(|(_, _, at)| at == address) {
            Some(at) => listening.push(ListeningSocket::Listening(open.swap_remove(at).1)),
            None => missing.push(*address),
        }
    }
    for (what, _, address) in open {
        match what {
            Some(what) => return Err(SocketError::Unwanted { what, address }),
            None => tracing::info!(%address, "this address is no longer served"),
        }
    }
    let bound = bind(&missing)?;
    listening.extend(bound.into_iter().map(ListeningSocket::Bound));
    Ok(listening)
}

impl SocketOrigin {
    /// Takes the socket of `address` out, where the predecessor had it.
    pub(super) fn claim(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let Self::Predecessor(files) = self else { return None };
        let there = |file: &OwnedFd| {
            SockRef::from(file).local_addr().is_ok_and(|at| at.as_socket() == Some(address))
        };
        let at = files.iter().position(there)?;
        Some(files.swap_remove(at).into())
    }

    /// Each socket with its address, and with a name where an unneeded one is an error.
    fn adopt(self) -> Result<Vec<(Option<String>, TcpListener, SocketAddr)>, SocketError> {
        let files: Vec<_> = match self {
            Self::Predecessor(files) => files.into_iter().map(|file| (None, file)).collect(),
            Self::Activation(files) => (3..)
                .zip(files)
                .map(|(number, (name, file))| (Some(describe(number, name.as_deref())), file))
                .collect(),
        };
        let adopt = |(what, file): (Option<String>, OwnedFd)| {
            let name = || what.clone().unwrap_or_else(|| "the old daemon".to_owned());
            let socket = aop_listeners::adopt(file)
                .map_err(|error| SocketError::Unfit { what: name(), error })?;
            let address = socket.local_addr()?;
            Ok((what, socket, address))
        };
        files.into_iter().map(adopt).collect()
    }
}

fn describe(number: u32, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("descriptor {number} ({name:?})"),
        None => format!("descriptor {number}"),
    }
}

/// Binds the addresses, and retries for a second: after a daemon was killed, its terminator dies a
/// moment later, and holds the addresses until then.
fn bind(addresses: &[SocketAddr]) -> Result<Vec<BoundSocket>, BindError> {
    const PATIENCE: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(20);
    let begun = Instant::now();
    loop {
        match aop_listeners::bind(addresses) {
            Err(taken)
                if taken.error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < PATIENCE =>
            {
                std::thread::sleep(PAUSE);
            }
            bound => return bound,
        }
    }
}

/// Starts to listen. The firewall of these addresses must be attached by now.
pub(super) fn listen(sockets: Vec<ListeningSocket>) -> Result<Vec<TcpListener>, SocketError> {
    let (mut listening, mut bound) = (Vec::new(), Vec::new());
    for socket in sockets {
        match socket {
            ListeningSocket::Listening(socket) => listening.push(socket),
            ListeningSocket::Bound(socket) => bound.push(socket),
        }
    }
    listening.extend(aop_listeners::listen(bound)?);
    Ok(listening)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn listener() -> (OwnedFd, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        (listener.into(), address)
    }

    #[test]
    fn handed_over_sockets_are_taken_and_the_rest_is_bound() {
        let ((file, handed), (gone, old)) = (listener(), listener());
        let (other, free) = listener();
        drop(other);
        let number = file.as_raw_fd();
        let taken =
            take(&[free, handed], SocketOrigin::Predecessor(vec![gone, file])).expect("taken");
        let open = listen(taken).expect("listening");
        let mut addresses: Vec<_> = open.iter().map(|it| it.local_addr().expect("one")).collect();
        addresses.sort_unstable();
        let mut wanted = [free, handed];
        wanted.sort_unstable();
        assert_eq!(addresses, wanted);
        assert!(open.iter().any(|socket| socket.as_raw_fd() == number), "it was bound again");
        TcpListener::bind(old).expect("closed, since it is not needed");
    }

    #[test]
    fn an_unneeded_socket_of_the_service_manager_is_named() {
        let (file, address) = listener();
        let handed = SocketOrigin::Activation(vec![(Some("web".to_owned()), file)]);
        let error = take(&[], handed).err().expect("refused").to_string();
        for word in ["descriptor 3 (\"web\")", &address.to_string(), "listener.bind"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
