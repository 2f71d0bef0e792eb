//! The listening socket of the monitor: a loopback port or a socket file. Both pass from one daemon
//! to the next without a moment in which none listens.

use std::{
    ffi::OsString,
    fs, io,
    net::{SocketAddr, TcpListener as Taken},
    os::{
        fd::AsFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
};

use aop_config::MonitorAddress;
use rustix::{net::sockopt::socket_peercred, process::Pid};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

/// The bound socket.
#[derive(Debug)]
pub(super) enum MonitorListener {
    Tcp(TcpListener),
    Unix(SocketFile),
}

/// A socket file. Dropping it removes the file, unless another socket has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    listener: UnixListener,
    path: PathBuf,
    /// Its name before clients may find it.
    aside: PathBuf,
    /// Device and inode.
    file: (u64, u64),
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
        handed: Option<Taken>,
        before: Option<Pid>,
    ) -> io::Result<Self> {
        match address {
            MonitorAddress::Loopback(address) => tcp(*address, handed).map(Self::Tcp),
            MonitorAddress::Socket(path) => SocketFile::bind(path, before).map(Self::Unix),
        }
    }

    /// Makes the socket visible to clients.
    pub(super) fn publish(&self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Unix(socket) => fs::rename(&socket.aside, &socket.path),
        }
    }

    /// A copy for the successor, where that needs one.
    pub(super) fn copy(&self) -> io::Result<Option<Taken>> {
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
            Self::Unix(socket) => Box::new(socket.listener.accept().await?.0),
        })
    }
}

fn tcp(address: SocketAddr, handed: Option<Taken>) -> io::Result<TcpListener> {
    let listener = handed.map_or_else(|| Taken::bind(address), Ok)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

impl SocketFile {
    /// Every user of this host who may enter the directory may connect, as over TCP.
    fn bind(path: &Path, before: Option<Pid>) -> io::Result<Self> {
        let mut aside = OsString::from(path);
        aside.push(".next");
        let aside = PathBuf::from(aside);
        if !is_free(path, before)? || !is_free(&aside, None)? {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&aside)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o666))?;
        let file = file(&aside)?;
        Ok(Self { listener, path: path.into(), aside, file })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // While this socket is bound, no other file has its inode.
        let ours = |path: &&PathBuf| file(path).is_ok_and(|file| file == self.file);
        for path in [&self.aside, &self.path].into_iter().filter(ours) {
            if let Err(error) = fs::remove_file(path) {
                tracing::debug!("{}: {error}", path.display());
            }
        }
    }
}

/// Whether `path` may be replaced. It may if it is missing, a socket on which no process listens
/// (its daemon was killed), or the socket of the process `before`.
fn is_free(path: &Path, before: Option<Pid>) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Ok(false),
        Ok(_) => Ok(match UnixStream::connect(path) {
            Err(_) => true,
            // SO_PEERCRED gives the process that called listen().
            Ok(stream) => {
                let owner = socket_peercred(&stream)?.pid;
                before.is_some_and(|before| before == owner)
            }
        }),
    }
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
