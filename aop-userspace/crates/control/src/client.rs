//! The client: sends a request to the daemon and reads the document that answers it.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use aop_api::Request;
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{listener::AccessLevel, request_handler::ResponseEnvelope};

/// How long the daemon may take to accept the connection and the request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the daemon gave no document.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No process listens.
    #[error("no daemon listens on {}", .0.display())]
    NotRunning(PathBuf),
    /// The caller may not open the socket.
    #[error(
        "no permission to open {}: only root may ask. Put `sudo` before the command{}",
        .path.display(),
        match .allowed {
            AllowedClients::Owner => "",
            AllowedClients::OwnerAndReaders =>
                ", or, to read, join the group of control.readers (docs/running.md)",
        }
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
        /// Whose request would be accepted.
        allowed: AllowedClients,
    },
    /// The daemon refused the request.
    #[error("the daemon on {} refuses: {why}", .path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// The daemon's reason.
        why: String,
    },
    /// The daemon did not answer in time.
    #[error(
        "the daemon on {} has given no answer for {} s: it is stopped, or overloaded; see its log, \
         and its process by the file `lock` beside the socket",
        .path.display(),
        .patience.as_secs()
    )]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// How long the client waited.
        patience: Duration,
    },
    /// The answer is not a document of this version.
    #[error(
        "the daemon on {} sent an answer that aop {} cannot read ({error}): it runs another \
         version. Use the program that the daemon runs from, or replace the daemon: `aop upgrade`",
        .path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Unreadable {
        /// The socket.
        path: PathBuf,
        /// Why it cannot be read.
        error: serde_json::Error,
    },
    /// The connection failed.
    #[error("the daemon on {} gave no answer: {error}; see its log", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
}

/// Whose request a socket accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedClients {
    /// Root, and the user that aop runs as.
    Owner,
    /// Also members of `control.readers`.
    OwnerAndReaders,
}

/// Sends `request` to the daemon whose runtime directory this is. A request that only reads goes to
/// the readers' socket where the caller may not open the other. `T` is the document that the
/// request names.
///
/// # Errors
/// No daemon listens, the caller has no permission, the daemon refuses, or the answer cannot be
/// read.
pub fn send_request<T: DeserializeOwned>(
    runtime: &Path,
    request: Request,
) -> Result<T, ClientError> {
    match send_to(&runtime.join(AccessLevel::Full.name()), &request) {
        Err(ClientError::Forbidden { path, .. }) if request.reads() => {
            match send_to(&runtime.join(AccessLevel::ReadOnly(0).name()), &request) {
                Err(ClientError::NotRunning(_) | ClientError::Forbidden { .. }) => {
                    Err(ClientError::Forbidden { path, allowed: AllowedClients::OwnerAndReaders })
                }
                answered => answered,
            }
        }
        answered => answered,
    }
}

fn send_to<T: DeserializeOwned>(path: &Path, request: &Request) -> Result<T, ClientError> {
    let failed = |error: io::Error, patience| {
        let path = path.to_owned();
        let is = |kinds: [io::ErrorKind; 2]| kinds.contains(&error.kind());
        if error.kind() == io::ErrorKind::PermissionDenied {
            ClientError::Forbidden { path, allowed: AllowedClients::Owner }
        } else if is([io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]) {
            ClientError::NotRunning(path)
        } else if is([io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut]) {
            ClientError::Timeout { path, patience }
        } else {
            ClientError::Io { path, error }
        }
    };
    let mut stream = connect(path).map_err(|error| failed(error, PATIENCE))?;
    let patience = request.patience();
    let mut exchange = || -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(patience))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        if answer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    };
    let answer = exchange().map_err(|error| failed(error, patience))?;
    match serde_json::from_slice(&answer) {
        Ok(ResponseEnvelope::Ok(document)) => Ok(document),
        Ok(ResponseEnvelope::Error(why)) => Err(ClientError::Refused { path: path.into(), why }),
        Err(error) => Err(ClientError::Unreadable { path: path.into(), error }),
    }
}

/// Connects. While the queue of the socket is full, the kernel would wait for ever; this waits
/// [`PATIENCE`].
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}
