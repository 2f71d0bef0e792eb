//! One listening socket of the admin API: a client sends one request as a line of JSON and gets one
//! document. The number of clients at a time and the time that each may take are limited.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aop_api::Request;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    RequestHandler, Requester,
    answer::{self, Answer},
};

/// The longest request in bytes, with its newline.
const LONGEST: u64 = 4096;
/// How long a client may take to send its request, and again to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Which requests a socket accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// All of them. Only the owner may open the socket.
    Steer,
    /// Requests that change nothing and fetch nothing. This group may open the socket, too.
    Read(u32),
}

/// A bound socket. Dropping it removes the file, unless another socket has replaced it.
#[derive(Debug)]
pub(super) struct Door {
    path: PathBuf,
    unpublished: PathBuf,
    leave: Leave,
    listener: UnixListener,
    /// Device and inode of the socket file.
    file: (u64, u64),
}

impl Leave {
    /// Name of the socket file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Steer => "control.sock",
            Self::Read(_) => "read.sock",
        }
    }

    /// Its name before clients may find it. Not longer than the final name, so that both fit into
    /// `sun_path`.
    fn unpublished(self) -> &'static str {
        match self {
            Self::Steer => "control.next",
            Self::Read(_) => "read.next",
        }
    }

    /// Clients at a time; more wait in the kernel's queue. An answer may read all peers, and be as
    /// large.
    fn clients(self) -> usize {
        match self {
            Self::Steer => 32,
            Self::Read(_) => 2,
        }
    }

    fn allows(self, request: &Request) -> bool {
        match self {
            Self::Steer => true,
            Self::Read(_) => request.reads(),
        }
    }
}

impl Door {
    /// Binds the socket in `runtime` under its unpublished name. A leftover file of that name
    /// belongs to no process, and is removed.
    pub(super) fn bind(runtime: &Path, leave: Leave) -> io::Result<Self> {
        let unpublished = runtime.join(leave.unpublished());
        match fs::remove_file(&unpublished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&unpublished)?;
        let mode = match leave {
            Leave::Steer => 0o600,
            Leave::Read(group) => {
                chown(&unpublished, None, Some(group)).inspect_err(|_| {
                    // No client may find it. The next start would remove it anyway.
                    fs::remove_file(&unpublished).ok();
                })?;
                0o660
            }
        };
        fs::set_permissions(&unpublished, fs::Permissions::from_mode(mode))?;
        let file = file(&unpublished)?;
        Ok(Self { path: runtime.join(leave.name()), unpublished, leave, listener, file })
    }

    /// Makes the socket visible to clients. It replaces that of another daemon atomically, so that
    /// at each moment there is one.
    pub(super) fn publish(&self) -> io::Result<()> {
        fs::rename(&self.unpublished, &self.path)
    }

    /// Passes requests to `daemon` until `stop`.
    pub(super) async fn serve(
        self,
        daemon: Arc<dyn RequestHandler>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        let places = Arc::new(Semaphore::new(self.leave.clients()));
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = accepted => accepted,
            };
            match accepted {
                (Ok(place), Ok((stream, _))) => {
                    let answer =
                        answer(stream, self.leave, Arc::clone(&daemon), stop.clone(), place);
                    tasks.spawn(async move {
                        // A client that hangs or disconnects is no error of the daemon.
                        if let Err(error) = answer.await {
                            tracing::debug!("control: {error}");
                        }
                    });
                }
                (_, Err(error)) => {
                    tracing::warn!("control: cannot accept: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
                // The semaphore is never closed.
                (Err(_), Ok(_)) => return,
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // While this socket is bound, no other file has its inode.
        let ours = |path: &&PathBuf| file(path).is_ok_and(|file| file == self.file);
        for path in [&self.unpublished, &self.path].into_iter().filter(ours) {
            if let Err(error) = fs::remove_file(path) {
                tracing::debug!("{}: {error}", path.display());
            }
        }
    }
}

/// Device and inode of `path`.
fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

async fn answer(
    mut stream: UnixStream,
    leave: Leave,
    daemon: Arc<dyn RequestHandler>,
    stop: CancellationToken,
    place: OwnedSemaphorePermit,
) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    // 0: the process lies in a PID namespace that is not visible here.
    let pid = credentials.pid().filter(|pid| *pid != 0);
    let asker = Requester { uid: credentials.uid(), pid };
    let mut line = Vec::new();
    let mut reader = BufReader::new(&mut stream).take(LONGEST);
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let answer = match line.strip_suffix(b"\n").map(answer::parse) {
        Some(Ok(request)) if !leave.allows(&request) => Answer::refused(format!(
            "{} accepts only requests that read; send this one to {}, as its owner",
            leave.name(),
            Leave::Steer.name()
        )),
        // On a blocking thread: it reads maps by system calls, and may fetch.
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
    let written = timeout(PATIENCE, written).await?;
    if matches!(leave, Leave::Read(_)) {
        // A client that asks in a loop must not keep the daemon busy.
        tokio::time::sleep(PAUSE).await;
    }
    drop(place);
    written
}
