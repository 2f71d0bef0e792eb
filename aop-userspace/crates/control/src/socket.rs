//! The sockets on which a daemon is asked: `control.sock` for everything, and where the configuration
//! names readers, `read.sock` for them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{errno::Errno, unistd::Group};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Answers,
    door::{Door, Leave},
};

/// The sockets, bound. They are removed when this is dropped, unless others have taken their places.
#[derive(Debug)]
pub struct ControlSocket {
    runtime: PathBuf,
    steer: Door,
    read: Option<Door>,
}

/// A socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The system does not let us.
    #[error("cannot open the control socket {}: {error}; correct paths.runtime", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is no such group.
    #[error(
        "control.readers: this host has no group {0:?}; create it (`groupadd --system {0}`), or name \
         another"
    )]
    NoGroup(String),
    /// The system does not tell.
    #[error("control.readers: the system cannot look up the group {group:?}: {error}")]
    Lookup {
        /// The group.
        group: String,
        /// What it said.
        error: Errno,
    },
}

impl ControlSocket {
    /// Binds the sockets in `runtime`, where no client finds them yet; that for reading where there is
    /// a group of `readers`. The caller holds the instance lock. What cannot be given to the readers is
    /// said, and kept from them.
    ///
    /// # Errors
    /// A socket cannot be made, or there is no such group.
    pub fn bind(runtime: &Path, readers: Option<&str>) -> Result<Self, ControlError> {
        let steer = Door::bind(runtime, Leave::Steer)
            .map_err(|error| refused(runtime, Leave::Steer, error))?;
        let read = match readers {
            None => None,
            Some(group) => {
                let leave = Leave::Read(readers_group(group)?);
                match Door::bind(runtime, leave) {
                    Ok(door) => Some(door),
                    Err(error) => {
                        tracing::warn!(
                            "control.readers: {} cannot be given to the group {group:?}, and is not \
                             there: {error}; that takes CAP_CHOWN, or a group that aop's user belongs to",
                            runtime.join(leave.name()).display()
                        );
                        None
                    }
                }
            }
        };
        Ok(Self { runtime: runtime.into(), steer, read })
    }

    /// From now on clients find them: in the place of those of another daemon, where there is one, and
    /// at no moment none.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn publish(&self) -> Result<(), ControlError> {
        if let Some(read) = &self.read {
            read.publish().map_err(|error| refused(&self.runtime, Leave::Read(0), error))?;
        }
        self.steer.publish().map_err(|error| refused(&self.runtime, Leave::Steer, error))
    }

    /// Passes requests to `daemon`, until `stop`.
    pub async fn serve(
        self,
        daemon: Arc<dyn Answers>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        if let Some(read) = self.read {
            tasks.spawn(read.serve(Arc::clone(&daemon), tasks.clone(), stop.clone()));
        }
        self.steer.serve(daemon, tasks, stop).await;
    }
}

fn refused(runtime: &Path, leave: Leave, error: io::Error) -> ControlError {
    ControlError::Socket { path: runtime.join(leave.name()), error }
}

/// The group of the readers, where one is named.
///
/// # Errors
/// There is no such group, or the system does not tell.
pub fn readers_group(name: &str) -> Result<u32, ControlError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(ControlError::NoGroup(name.to_owned())),
        Err(error) => Err(ControlError::Lookup { group: name.to_owned(), error }),
    }
}
