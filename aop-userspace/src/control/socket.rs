//! The control socket: a client sends a request as one line of JSON, and gets one document.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream as Client,
    },
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
    Answers, Asker, Request,
    request::{self, Answer, Envelope},
};

const SOCKET: &str = "control.sock";
/// What it is called until clients may find it. As long as its name: where the one fits, the other does.
const UNPUBLISHED: &str = "control.next";
/// The longest request, its newline included.
const LONGEST: u64 = 4096;
/// For a client to send its request and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// The socket, bound. It is removed when this is dropped, unless another has taken its place.
#[derive(Debug)]
pub struct ControlSocket {
    runtime: PathBuf,
    listener: UnixListener,
    /// Device and inode.
    file: (u64, u64),
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
    /// Binds the socket in `runtime`, where no client finds it yet. The caller holds the instance lock,
    /// so one that is left there unpublished belongs to nobody.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn bind(runtime: &Path) -> Result<Self, ControlError> {
        let path = runtime.join(UNPUBLISHED);
        let bound = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let listener = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            let file = file(&path)?;
            Ok(Self { runtime: runtime.into(), listener, file })
        };
        bound().map_err(|error| ControlError { path: runtime.join(SOCKET), error })
    }

    /// From now on clients find it: in the place of that of another daemon, where there is one, and
    /// at no moment none.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn publish(&self) -> Result<(), ControlError> {
        let path = self.runtime.join(SOCKET);
        fs::rename(self.runtime.join(UNPUBLISHED), &path)
            .map_err(|error| ControlError { path, error })
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
        let paths = [UNPUBLISHED, SOCKET].map(|name| self.runtime.join(name));
        // While this one is bound no other has its inode.
        for path in paths.iter().filter(|path| file(path).is_ok_and(|file| file == self.file)) {
            if let Err(error) = fs::remove_file(path) {
                tracing::debug!("{}: {error}", path.display());
            }
        }
    }
}

/// The device and inode of what is there.
fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

async fn answer(
    mut stream: UnixStream,
    daemon: Arc<dyn Answers>,
    stop: CancellationToken,
) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    // 0 stands for a process that is not seen from here.
    let pid = credentials.pid().filter(|pid| *pid != 0);
    let asker = Asker { uid: credentials.uid(), pid };
    let mut line = Vec::new();
    let mut reader = BufReader::new(&mut stream).take(LONGEST);
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let answer = match line.strip_suffix(b"\n").map(request::parse) {
        // Reads maps by system calls, and may fetch.
        Some(Ok(request)) => {
            let ends_by_itself = request.ends_by_itself();
            let answer = tokio::task::spawn_blocking(move || daemon.answer(request, asker));
            tokio::select! {
                () = stop.cancelled(), if !ends_by_itself => Answer::refused("aop is stopping"),
                answer = answer => answer.map_err(io::Error::other)?,
            }
        }
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
