//! The side of the daemon's clients: a request, and the document that answers it.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use aop_api::Request;
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{answer::Envelope, door::Leave};

/// For a daemon to take the request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why no daemon answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no daemon listens on {}", .0.display())]
    NotRunning(PathBuf),
    /// Only root or the daemon's user may ask.
    #[error(
        "no permission to open {}; ask as root or as the user that aop runs as{}",
        .path.display(),
        match .readable { true => ", or, to read, as a member of control.readers", false => "" }
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
        /// Whether members of a group might ask this.
        readable: bool,
    },
    /// It does not do that.
    #[error("the daemon on {} refuses: {why}", .path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// It does not answer in time.
    #[error(
        "the daemon on {} has given no answer for {} s: it is stopped, or overloaded; see its log, and \
         its process by the file `lock` beside the socket",
        .path.display(),
        .patience.as_secs()
    )]
    Late {
        /// The socket.
        path: PathBuf,
        /// How long it had.
        patience: Duration,
    },
    /// What it answers is no document that we know.
    #[error(
        "the daemon on {} answers in words that aop {} does not know ({error}): it is of another \
         version. Use the program that it runs from, or bring it up to this one by `aop upgrade`",
        .path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Strange {
        /// The socket.
        path: PathBuf,
        /// What is not understood.
        error: serde_json::Error,
    },
    /// It broke off.
    #[error("the daemon on {} gave no answer: {error}; see its log", .path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

/// Asks the daemon whose runtime directory this is; what only reads, on the socket for readers where
/// the other one is not ours to open. The request says which document answers it.
///
/// # Errors
/// Nobody listens, or may be asked, or the daemon refuses, or the answer makes no sense.
pub fn ask<T: DeserializeOwned>(runtime: &Path, request: Request) -> Result<T, AskError> {
    match ask_at(&runtime.join(Leave::Steer.name()), &request) {
        Err(AskError::Forbidden { path, .. }) if request.reads() => {
            match ask_at(&runtime.join(Leave::Read(0).name()), &request) {
                Err(AskError::NotRunning(_) | AskError::Forbidden { .. }) => {
                    Err(AskError::Forbidden { path, readable: true })
                }
                answered => answered,
            }
        }
        answered => answered,
    }
}

fn ask_at<T: DeserializeOwned>(path: &Path, request: &Request) -> Result<T, AskError> {
    let failed = |error: io::Error, patience| {
        let path = path.to_owned();
        let is = |kinds: [io::ErrorKind; 2]| kinds.contains(&error.kind());
        if error.kind() == io::ErrorKind::PermissionDenied {
            AskError::Forbidden { path, readable: false }
        } else if is([io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]) {
            AskError::NotRunning(path)
        } else if is([io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut]) {
            AskError::Late { path, patience }
        } else {
            AskError::Broken { path, error }
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
        match answer.is_empty() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(answer),
        }
    };
    let answer = exchange().map_err(|error| failed(error, patience))?;
    match serde_json::from_slice(&answer) {
        Ok(Envelope::Ok(document)) => Ok(document),
        Ok(Envelope::Error(why)) => Err(AskError::Refused { path: path.into(), why }),
        Err(error) => Err(AskError::Strange { path: path.into(), error }),
    }
}

/// Connects, and waits for a full queue no longer than for an answer: the kernel would for ever.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}
