//! A Unix socket whose file appears to clients when its owner is ready, and replaces that of an
//! earlier process without a moment in which no file is there.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
            net::{UnixListener as StdListener, UnixStream as StdStream},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, fchmod},
    net::sockopt::socket_peercred,
    process::Pid,
};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

const OWNER_ONLY: u32 = 0o600;
/// Clients that wait to be accepted, as far as the kernel allows.
const BACKLOG: i32 = 1024;

/// A listening Unix socket. Dropping it removes the file, unless another socket has replaced it.
#[derive(Debug)]
pub struct PublishedSocket {
    listener: UnixListener,
    path: PathBuf,
    unpublished: PathBuf,
    /// Device and inode of the socket file.
    file: (u64, u64),
}

/// The clients that may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketAccess {
    /// The owner.
    Owner,
    /// The owner, and members of the group with this id.
    Group(u32),
    /// Every user who may enter the directory.
    Everybody,
}

impl PublishedSocket {
    /// Binds `unpublished`, which [`PublishedSocket::publish`] renames to `path`. Both are in one
    /// directory. A leftover file of that name belongs to no process, and is removed.
    ///
    /// # Errors
    /// The socket cannot be bound, or given to the group.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind(path: PathBuf, unpublished: PathBuf, access: SocketAccess) -> io::Result<Self> {
        match fs::remove_file(&unpublished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::from_std(bind_closed(&unpublished)?)?;
        let mode = match access {
            SocketAccess::Owner => OWNER_ONLY,
            SocketAccess::Group(group) => {
                chown(&unpublished, None, Some(group)).inspect_err(|_| {
                    // No client may find it. The next start would remove it anyway.
                    fs::remove_file(&unpublished).ok();
                })?;
                0o660
            }
            SocketAccess::Everybody => 0o666,
        };
        fs::set_permissions(&unpublished, fs::Permissions::from_mode(mode))?;
        let file = device_and_inode(&unpublished)?;
        Ok(Self { listener, path, unpublished, file })
    }

    /// Makes the socket visible to clients. It replaces that of another daemon atomically, so that
    /// at each moment there is one.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn publish(&self) -> io::Result<()> {
        fs::rename(&self.unpublished, &self.path)
    }

    /// Whether the file was removed, so that no client finds the socket.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Waits for a client.
    ///
    /// # Errors
    /// The system refuses, as when no file descriptors are left.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for PublishedSocket {
    fn drop(&mut self) {
        // While this socket is bound, no other file has its inode.
        let ours = |path: &&PathBuf| device_and_inode(path).is_ok_and(|file| file == self.file);
        for path in [&self.unpublished, &self.path].into_iter().filter(ours) {
            // It is in nobody's way: the next start replaces it.
            fs::remove_file(path).ok();
        }
    }
}

/// Binds a socket that only its owner can connect to from the first moment on, whatever the umask.
fn bind_closed(path: &Path) -> io::Result<StdListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    // The file gets the mode of the socket, without the bits of the umask.
    fchmod(&socket, Mode::from_raw_mode(OWNER_ONLY))?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}

/// Whether a socket may replace the file `path`. It may if the file is missing, a socket on which
/// no process listens (its daemon was killed), or the socket of the process `before`.
///
/// # Errors
/// The file cannot be examined.
pub fn may_replace(path: &Path, before: Option<Pid>) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Ok(false),
        Ok(_) => Ok(match StdStream::connect(path) {
            Err(_) => true,
            // SO_PEERCRED gives the process that called listen().
            Ok(stream) => {
                let owner = socket_peercred(&stream)?.pid;
                before.is_some_and(|before| before == owner)
            }
        }),
    }
}

fn device_and_inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use rustix::process::{getpid, umask};

    use super::*;

    #[test]
    fn a_socket_is_closed_to_others_from_the_first_moment_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let usual = umask(Mode::empty());
        let listener = bind_closed(&path);
        umask(usual);
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
        StdStream::connect(&path).unwrap();
        drop(listener);
    }

    #[test]
    fn only_a_socket_that_is_dead_or_the_predecessors_may_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let replaceable = |before| may_replace(&path, before).unwrap();
        assert!(replaceable(None), "nothing is there");
        fs::write(&path, "a file").unwrap();
        assert!(!replaceable(Some(getpid())), "a file that is no socket");
        fs::remove_file(&path).unwrap();
        let listener = StdListener::bind(&path).unwrap();
        assert!(!replaceable(None) && !replaceable(Some(Pid::INIT)), "another process listens");
        assert!(replaceable(Some(getpid())), "the predecessor listens");
        drop(listener);
        assert!(replaceable(None), "no process listens");
    }
}
