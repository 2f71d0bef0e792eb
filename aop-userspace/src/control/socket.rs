//! The control socket: a client sends a request as one line of JSON, and gets one document.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream as Client},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Answers, Request,
    request::{self, Answer, Envelope},
};

const SOCKET: &str = "control.sock";
/// The longest request, its newline included.
const LONGEST: u64 = 4096;
/// For a client to send its request and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// The socket, bound. It is removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
}

/// The socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the control socket {}: {error}; correct paths.runtime", .path.display())]
pub struct ControlError {
    path: PathBuf,
    error: io::Error,
}

/// Why no daemon answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no daemon listens on {}", .0.display())]
    NotRunning(PathBuf),
    /// Only root or the daemon's user may ask.
    #[error("no permission to open {}; ask as root or as the user that aop runs as", .0.display())]
    Forbidden(PathBuf),
    /// It does not do that.
    #[error("the daemon on {} refuses: {why}", .path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// It answered nonsense, or not in time.
    #[error("the daemon on {} gave no answer: {error}", .path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

impl ControlSocket {
    /// Binds the socket in `runtime`. The caller holds the instance lock, so a socket that is left
    /// there belongs to nobody.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn bind(runtime: &Path) -> Result<Self, ControlError> {
        let path = runtime.join(SOCKET);
        let listener = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let listener = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        match listener() {
            Ok(listener) => Ok(Self { path, listener }),
            Err(error) => Err(ControlError { path, error }),
        }
    }

    /// Passes requests to `daemon`, until `stop`.
    pub async fn serve(
        self,
        daemon: Arc<dyn Answers>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let answer = answer(stream, Arc::clone(&daemon), stop.clone());
                    tasks.spawn(async move {
                        // A client that hangs or leaves is its own affair.
                        if let Err(error) = answer.await {
                            tracing::debug!("control: {error}");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!("control: cannot accept: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("{}: {error}", self.path.display());
        }
    }
}

async fn answer(
    mut stream: UnixStream,
    daemon: Arc<dyn Answers>,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(&mut stream).take(LONGEST);
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let answer = match line.strip_suffix(b"\n").map(request::parse) {
        // Reads maps by system calls, and may fetch.
        Some(Ok(request)) => tokio::select! {
            () = stop.cancelled() => Answer::refused("aop is stopping"),
            answer = tokio::task::spawn_blocking(move || daemon.answer(request)) => {
                answer.map_err(io::Error::other)?
            }
        },
        Some(Err(why)) => Answer::refused(why),
        None => Answer::refused(format!("a request is one line of at most {LONGEST} bytes")),
    };
    let written = async {
        stream.write_all(&answer.line()).await?;
        stream.shutdown().await
    };
    timeout(PATIENCE, written).await?
}

/// Asks the daemon whose runtime directory this is. The request says which document answers it.
///
/// # Errors
/// Nobody listens, or may be asked, or the daemon refuses, or the answer makes no sense.
pub fn ask<T: DeserializeOwned>(runtime: &Path, request: Request) -> Result<T, AskError> {
    let path = runtime.join(SOCKET);
    let mut stream = match Client::connect(&path) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(AskError::Forbidden(path));
        }
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            return Err(AskError::NotRunning(path));
        }
        Err(error) => return Err(AskError::Broken { path, error }),
    };
    let mut exchange = || -> io::Result<Envelope<T>> {
        stream.set_read_timeout(Some(request.patience()))?;
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    };
    match exchange() {
        Ok(Envelope::Ok(document)) => Ok(document),
        Ok(Envelope::Error(why)) => Err(AskError::Refused { path, why }),
        Err(error) => Err(AskError::Broken { path, error }),
    }
}
