//! The sockets of the admin API: `control.sock` accepts every request; `read.sock`, which exists
//! where the configuration names a group of readers, accepts those that read.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{errno::Errno, unistd::Group};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    RequestHandler,
    listener::{AccessLevel, AdminListener},
};

/// The bound sockets. Dropping them removes the files, unless other sockets have replaced them.
#[derive(Debug)]
pub struct ControlSocket {
    runtime: PathBuf,
    full: AdminListener,
    read_only: Option<AdminListener>,
}

/// Why a socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The system refused.
    #[error("cannot open the control socket {}: {error}; correct paths.runtime", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The group does not exist.
    #[error(
        "control.readers: this host has no group {0:?}; create it (`groupadd --system {0}`), or \
         name another"
    )]
    NoGroup(String),
    /// The system could not look up the group.
    #[error("control.readers: the system cannot look up the group {group:?}: {error}")]
    Lookup {
        /// The group.
        group: String,
        /// The error of the system.
        error: Errno,
    },
}

impl ControlSocket {
    /// Binds the sockets in `runtime` under unpublished names; `read.sock` only where `readers`
    /// names a group. The caller holds the instance lock. Where `read.sock` cannot be given to the
    /// group, this logs a warning and goes on without it.
    ///
    /// # Errors
    /// A socket cannot be made, or the group does not exist.
    pub fn bind(runtime: &Path, readers: Option<&str>) -> Result<Self, ControlError> {
        let full = AdminListener::bind(runtime, AccessLevel::Full)
            .map_err(|error| refused(runtime, AccessLevel::Full, error))?;
        let read_only = match readers {
            None => None,
            Some(group) => {
                let level = AccessLevel::ReadOnly(readers_group(group)?);
                match AdminListener::bind(runtime, level) {
                    Ok(listener) => Some(listener),
                    Err(error) => {
                        tracing::warn!(
                            "control.readers: {} cannot be given to the group {group:?}, and is \
                             not there: {error}; that takes CAP_CHOWN, or a group that aop's user \
                             belongs to",
                            runtime.join(level.name()).display()
                        );
                        None
                    }
                }
            }
        };
        Ok(Self { runtime: runtime.into(), full, read_only })
    }

    /// Makes the sockets visible to clients. They replace those of another daemon atomically, so
    /// that at each moment there is one.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn publish(&self) -> Result<(), ControlError> {
        if let Some(read_only) = &self.read_only {
            read_only
                .publish()
                .map_err(|error| refused(&self.runtime, AccessLevel::ReadOnly(0), error))?;
        }
        self.full.publish().map_err(|error| refused(&self.runtime, AccessLevel::Full, error))
    }

    /// Passes requests to `daemon` until `stop`. Makes sockets anew whose files were removed, until
    /// `handed_over`.
    pub async fn serve(
        self,
        daemon: Arc<dyn RequestHandler>,
        tasks: TaskTracker,
        stop: CancellationToken,
        handed_over: CancellationToken,
    ) {
        let serve = |listener: AdminListener| {
            let (daemon, tasks) = (Arc::clone(&daemon), tasks.clone());
            listener.serve(self.runtime.clone(), daemon, tasks, stop.clone(), handed_over.clone())
        };
        if let Some(read_only) = self.read_only {
            tasks.spawn(serve(read_only));
        }
        serve(self.full).await;
    }
}

fn refused(runtime: &Path, level: AccessLevel, error: io::Error) -> ControlError {
    ControlError::Socket { path: runtime.join(level.name()), error }
}

/// The id of the group `name`.
///
/// # Errors
/// The group does not exist, or the system cannot look it up.
pub fn readers_group(name: &str) -> Result<u32, ControlError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(ControlError::NoGroup(name.to_owned())),
        Err(error) => Err(ControlError::Lookup { group: name.to_owned(), error }),
    }
}
