//! One socket on which the daemon can be asked: a client sends a request as one line of JSON, and gets
//! one document. Nobody is waited for longer than that takes, and only so many at once.

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
    Answers, Asker,
    answer::{self, Answer},
};

/// The longest request, its newline included.
const LONGEST: u64 = 4096;
/// For a client to send its request, and again to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// What may be asked at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Everything. The socket is its owner's alone.
    Steer,
    /// What changes nothing and fetches nothing. The socket is open to this group too.
    Read(u32),
}

/// A socket, bound. It is removed when this is dropped, unless another has taken its place.
#[derive(Debug)]
pub(super) struct Door {
    path: PathBuf,
    unpublished: PathBuf,
    leave: Leave,
    listener: UnixListener,
    /// Device and inode.
    file: (u64, u64),
}

impl Leave {
    /// What the socket is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Steer => "control.sock",
            Self::Read(_) => "read.sock",
        }
    }

    /// What it is called until clients may find it. No longer than its name: where the one fits, the
    /// other does.
    fn unpublished(self) -> &'static str {
        match self {
            Self::Steer => "control.next",
            Self::Read(_) => "read.next",
        }
    }

    /// Clients at once; more wait in the kernel's queue. An answer may have to walk all peers, and be as
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
    /// Binds the socket in `runtime`, where no client finds it yet. What is left there unpublished
    /// belongs to nobody.
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
                    // Nobody is to find it; a next start would remove it anyway.
                    fs::remove_file(&unpublished).ok();
                })?;
                0o660
            }
        };
        fs::set_permissions(&unpublished, fs::Permissions::from_mode(mode))?;
        let file = file(&unpublished)?;
        Ok(Self { path: runtime.join(leave.name()), unpublished, leave, listener, file })
    }

    /// From now on clients find it: in the place of another daemon's, where there is one, and at no
    /// moment none.
    pub(super) fn publish(&self) -> io::Result<()> {
        fs::rename(&self.unpublished, &self.path)
    }

    /// Passes requests to `daemon`, until `stop`.
    pub(super) async fn serve(
        self,
        daemon: Arc<dyn Answers>,
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
                        // A client that hangs or leaves is its own affair.
                        if let Err(error) = answer.await {
                            tracing::debug!("control: {error}");
                        }
                    });
                }
                (_, Err(error)) => {
                    tracing::warn!("control: cannot accept: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
                // Nobody closes the semaphore.
                (Err(_), Ok(_)) => return,
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // While this one is bound no other has its inode.
        let ours = |path: &&PathBuf| file(path).is_ok_and(|file| file == self.file);
        for path in [&self.unpublished, &self.path].into_iter().filter(ours) {
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
    leave: Leave,
    daemon: Arc<dyn Answers>,
    stop: CancellationToken,
    place: OwnedSemaphorePermit,
) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    // 0 stands for a process that is not seen from here.
    let pid = credentials.pid().filter(|pid| *pid != 0);
    let asker = Asker { uid: credentials.uid(), pid };
    let mut line = Vec::new();
    let mut reader = BufReader::new(&mut stream).take(LONGEST);
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let answer = match line.strip_suffix(b"\n").map(answer::parse) {
        Some(Ok(request)) if !leave.allows(&request) => Answer::refused(format!(
            "{} answers questions alone; what is asked here is for {}, whose owner may ask it",
            leave.name(),
            Leave::Steer.name()
        )),
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
    let written = timeout(PATIENCE, written).await?;
    if matches!(leave, Leave::Read(_)) {
        // Who asks without end must not keep the daemon busy.
        tokio::time::sleep(PAUSE).await;
    }
    drop(place);
    written
}
