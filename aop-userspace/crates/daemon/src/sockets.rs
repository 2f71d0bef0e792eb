//! The listening sockets: handed over, or bound here. The daemon never accepts on them; it keeps them
//! for the daemon that takes over from it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aop_listeners::{AdoptError, BindError, Bound};
use socket2::SockRef;

/// Listening sockets that somebody else has made.
pub(super) enum Handed {
    /// The daemon before this one. What is not wanted any more is closed.
    Before(Vec<OwnedFd>),
    /// The service manager, each with its name there. What is not wanted is an error: it would listen
    /// on, and nobody would ever answer.
    Activation(Vec<(Option<String>, OwnedFd)>),
}

/// One socket of an address that is to be served.
pub(super) enum Socket {
    /// It does not listen yet.
    Bound(Bound),
    /// Its connections wait already.
    Listening(TcpListener),
}

/// Why an address cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A descriptor is no such socket.
    #[error(
        "the service manager hands over {what}, {error}; the socket unit may have ListenStream= with \
         an address and port, and BindIPv6Only=ipv6-only"
    )]
    Unfit {
        /// Which.
        what: String,
        /// Why not.
        error: AdoptError,
    },
    /// One that nobody asked for.
    #[error(
        "the service manager hands over {what}, {address}, which no [[listener]] binds; add it to \
         listener.bind, or take it out of the socket unit"
    )]
    Unwanted {
        /// Which.
        what: String,
        /// Where it listens.
        address: SocketAddr,
    },
    /// The variables of socket activation make no sense.
    #[error(
        "LISTEN_PID or LISTEN_FDS, by which a service manager hands over sockets, is no number"
    )]
    Variables,
    /// The system refuses.
    #[error("a listening socket: {0}")]
    System(#[from] io::Error),
}

/// The sockets of a service manager. To be called once, since it owns them.
pub(super) fn activated() -> Result<Vec<(Option<String>, OwnedFd)>, SocketError> {
    let sockets = sd_listen_fds::get().map_err(|_| SocketError::Variables)?;
    Ok(sockets.into_iter().map(|(name, file)| (name, file.into_std())).collect())
}

/// Takes all `addresses`, from what was handed over where it has them.
pub(super) fn take(addresses: &[SocketAddr], handed: Handed) -> Result<Vec<Socket>, SocketError> {
    let mut open = handed.adopt()?;
    let mut listening = Vec::new();
    let mut missing = Vec::new();
    for address in addresses {
        match open.iter().position(|(_, _, at)| at == address) {
            Some(at) => listening.push(Socket::Listening(open.swap_remove(at).1)),
            None => missing.push(*address),
        }
    }
    for (what, _, address) in open {
        match what {
            Some(what) => return Err(SocketError::Unwanted { what, address }),
            None => tracing::info!(%address, "no longer listened on"),
        }
    }
    let bound = bind(&missing)?;
    listening.extend(bound.into_iter().map(Socket::Bound));
    Ok(listening)
}

impl Handed {
    /// Takes out the one of `address`, where the daemon before this one had it.
    pub(super) fn claim(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let Self::Before(files) = self else { return None };
        let there = |file: &OwnedFd| {
            SockRef::from(file).local_addr().is_ok_and(|at| at.as_socket() == Some(address))
        };
        let at = files.iter().position(there)?;
        Some(files.swap_remove(at).into())
    }

    /// Each socket with its address, and with its name where it must be wanted.
    fn adopt(self) -> Result<Vec<(Option<String>, TcpListener, SocketAddr)>, SocketError> {
        let files: Vec<_> = match self {
            Self::Before(files) => files.into_iter().map(|file| (None, file)).collect(),
            Self::Activation(files) => (3..)
                .zip(files)
                .map(|(number, (name, file))| (Some(called(number, name.as_deref())), file))
                .collect(),
        };
        let adopt = |(what, file): (Option<String>, OwnedFd)| {
            let told = || what.clone().unwrap_or_else(|| "the daemon before this one".to_owned());
            let socket = aop_listeners::adopt(file)
                .map_err(|error| SocketError::Unfit { what: told(), error })?;
            let address = socket.local_addr()?;
            Ok((what, socket, address))
        };
        files.into_iter().map(adopt).collect()
    }
}

fn called(number: u32, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("descriptor {number} ({name:?})"),
        None => format!("descriptor {number}"),
    }
}

/// Binds. The terminator of a daemon that was killed dies a moment after it, and has the addresses
/// until then.
fn bind(addresses: &[SocketAddr]) -> Result<Vec<Bound>, BindError> {
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

/// Begins to listen. Whatever guards the addresses must stand by now.
pub(super) fn listen(sockets: Vec<Socket>) -> Result<Vec<TcpListener>, SocketError> {
    let (mut listening, mut bound) = (Vec::new(), Vec::new());
    for socket in sockets {
        match socket {
            Socket::Listening(socket) => listening.push(socket),
            Socket::Bound(socket) => bound.push(socket),
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
    fn what_is_handed_over_is_taken_and_the_rest_is_bound() {
        let ((file, handed), (gone, old)) = (listener(), listener());
        let (other, free) = listener();
        drop(other);
        let number = file.as_raw_fd();
        let taken = take(&[free, handed], Handed::Before(vec![gone, file])).expect("taken");
        let open = listen(taken).expect("listening");
        let mut addresses: Vec<_> = open.iter().map(|it| it.local_addr().expect("one")).collect();
        addresses.sort_unstable();
        let mut wanted = [free, handed];
        wanted.sort_unstable();
        assert_eq!(addresses, wanted);
        assert!(open.iter().any(|socket| socket.as_raw_fd() == number), "it was bound anew");
        TcpListener::bind(old).expect("closed, as nobody wants it");
    }

    #[test]
    fn a_service_manager_s_socket_that_nobody_wants_is_named() {
        let (file, address) = listener();
        let handed = Handed::Activation(vec![(Some("web".to_owned()), file)]);
        let told = take(&[], handed).err().expect("refused").to_string();
        for word in ["descriptor 3 (\"web\")", &address.to_string(), "listener.bind"] {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
}
