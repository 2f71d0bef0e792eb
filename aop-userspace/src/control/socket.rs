//! The control socket: a client sends `status` and a newline, and gets one JSON document.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream as Client},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Status;

const SOCKET: &str = "control.sock";
const REQUEST: &[u8] = b"status\n";
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

    /// Answers with what `status` says, until `stop`. A client has five seconds.
    pub async fn serve(
        self,
        status: Arc<dyn Fn() -> Status + Send + Sync>,
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
                    let answer = answer(stream, Arc::clone(&status));
                    tasks.spawn(async move {
                        // A client that hangs or leaves is its own affair.
                        if let Ok(Err(error)) = timeout(PATIENCE, answer).await {
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
    status: Arc<dyn Fn() -> Status + Send + Sync>,
) -> io::Result<()> {
    let mut request = [0; REQUEST.len()];
    stream.read_exact(&mut request).await?;
    if request != REQUEST {
        return stream.write_all(b"{\"error\":\"unknown request\"}\n").await;
    }
    // Reads maps by system calls, one for each peer.
    let status = tokio::task::spawn_blocking(move || status()).await.map_err(io::Error::other)?;
    let mut answer = serde_json::to_vec(&status)?;
    answer.push(b'\n');
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// Asks the daemon whose runtime directory this is.
///
/// # Errors
/// Nobody listens, or may be asked, or the answer makes no sense.
pub fn ask(runtime: &Path) -> Result<Status, AskError> {
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
    let mut exchange = || -> io::Result<Status> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(REQUEST)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    };
    exchange().map_err(|error| AskError::Broken { path, error })
}
