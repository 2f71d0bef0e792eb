//! A Unix socket whose file appears to clients when its owner is ready, and replaces that of an
//! earlier process without a moment in which no file is there.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

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
        let listener = UnixListener::bind(&unpublished)?;
        let mode = match access {
            SocketAccess::Owner => 0o600,
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

fn device_and_inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
