//! One listening socket of the admin API: a client sends one request as a line of JSON and gets one
//! document. The number of clients at a time and the time that each may take are limited.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aop_api::Request;
use aop_listeners::{PublishedSocket, SocketAccess};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    RequestHandler, Requester,
    request_handler::{Response, parse},
};

/// The longest request in bytes, with its newline.
const LONGEST: u64 = 4096;
/// How long a client may take to send its request, and again to read the response.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to accept, and between two requests of one reader.
const PAUSE: Duration = Duration::from_millis(100);
/// How often to look whether the file of the socket is there.
const LOOK: Duration = Duration::from_secs(1);

/// Which requests a socket accepts, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessLevel {
    /// All requests. Only the owner may open the socket.
    Full,
    /// Requests that change nothing and fetch nothing. The group with this id may open the socket,
    /// too.
    ReadOnly(u32),
}

/// Whether the last attempt to make a socket anew has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Possible,
    Failed,
}

/// A bound socket. Dropping it removes the file, unless another socket has replaced it.
#[derive(Debug)]
pub(super) struct AdminListener {
    level: AccessLevel,
    socket: PublishedSocket,
}

impl AccessLevel {
    /// Name of the socket file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Full => "control.sock",
            Self::ReadOnly(_) => "read.sock",
        }
    }

    /// Its name before clients may find it. Not longer than the final name, so that both fit into
    /// `sun_path`.
    fn unpublished(self) -> &'static str {
        match self {
            Self::Full => "control.next",
            Self::ReadOnly(_) => "read.next",
        }
    }

    /// Clients at a time; more wait in the kernel's queue. A response may contain all
    /// peers.
    fn clients(self) -> usize {
        match self {
            Self::Full => 32,
            Self::ReadOnly(_) => 2,
        }
    }

    /// Why `requester` may not send this request here.
    fn refusal(self, request: &Request, requester: Requester) -> Option<String> {
        match self {
            _ if request.reads() => None,
            Self::Full if requester.may_change() => None,
            // The mode of the socket, or of its directory, was changed.
            Self::Full => Some(format!(
                "only root and the user of the daemon may change anything; this is the user {}",
                requester.uid
            )),
            Self::ReadOnly(_) => Some(format!(
                "{} accepts only requests that read; send this one to {}, as its owner",
                self.name(),
                Self::Full.name()
            )),
        }
    }
}

impl AdminListener {
    /// Binds the socket in `runtime` under its unpublished name.
    pub(super) fn bind(runtime: &Path, level: AccessLevel) -> io::Result<Self> {
        let access = match level {
            AccessLevel::Full => SocketAccess::Owner,
            AccessLevel::ReadOnly(group) => SocketAccess::Group(group),
        };
        let (path, unpublished) = (runtime.join(level.name()), runtime.join(level.unpublished()));
        Ok(Self { level, socket: PublishedSocket::bind(path, unpublished, access)? })
    }

    /// Makes the socket visible to clients.
    pub(super) fn publish(&self) -> io::Result<()> {
        self.socket.publish()
    }

    /// Makes the socket in `runtime` anew.
    fn renew(&mut self, runtime: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(runtime)?;
        let renewed = Self::bind(runtime, self.level)?;
        renewed.publish()?;
        *self = renewed;
        Ok(())
    }

    /// The same, and logs what came of it once.
    fn try_renew(&mut self, runtime: &Path, last: Renewal) -> Renewal {
        let path = runtime.join(self.level.name());
        match (self.renew(runtime), last) {
            (Ok(()), _) => {
                tracing::warn!("{} was removed, and is there again", path.display());
                Renewal::Possible
            }
            (Err(error), Renewal::Possible) => {
                tracing::error!(
                    "{} was removed, and cannot be made anew: {error}; `systemctl restart aop`",
                    path.display()
                );
                Renewal::Failed
            }
            (Err(_), Renewal::Failed) => Renewal::Failed,
        }
    }

    /// Passes requests to `daemon` until `stop`. Makes the socket in `runtime` anew if its file was
    /// removed, until `handed_over`.
    pub(super) async fn serve(
        mut self,
        runtime: PathBuf,
        daemon: Arc<dyn RequestHandler>,
        tasks: TaskTracker,
        stop: CancellationToken,
        handed_over: CancellationToken,
    ) {
        let mut renewal = Renewal::Possible;
        let places = Arc::new(Semaphore::new(self.level.clients()));
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.socket.accept().await)
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = accepted => accepted,
                () = sleep(LOOK) => {
                    if !handed_over.is_cancelled() && self.socket.is_removed() {
                        renewal = self.try_renew(&runtime, renewal);
                    }
                    continue;
                }
            };
            match accepted {
                (Ok(place), Ok(stream)) => {
                    let served =
                        serve_client(stream, self.level, Arc::clone(&daemon), stop.clone(), place);
                    tasks.spawn(async move {
                        // A client that hangs or disconnects is no error of the daemon.
                        if let Err(error) = served.await {
                            tracing::debug!("control: {error}");
                        }
                    });
                }
                (_, Err(error)) => {
                    tracing::warn!("control: cannot accept: {error}");
                    sleep(PAUSE).await;
                }
                // The semaphore is never closed.
                (Err(_), Ok(_)) => return,
            }
        }
    }
}

/// Reads one request and writes the response. Holds `place` until then.
async fn serve_client(
    mut stream: UnixStream,
    level: AccessLevel,
    daemon: Arc<dyn RequestHandler>,
    stop: CancellationToken,
    place: OwnedSemaphorePermit,
) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    // 0: the process lies in a PID namespace that is not visible here.
    let pid = credentials.pid().filter(|pid| *pid != 0);
    let requester = Requester { uid: credentials.uid(), pid };
    let mut line = Vec::new();
    let mut reader = BufReader::new(&mut stream).take(LONGEST);
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let request = line.strip_suffix(b"\n").map(parse).map(|parsed| {
        parsed.and_then(|request| match level.refusal(&request, requester) {
            Some(why) => Err(why),
            None => Ok(request),
        })
    });
    let response = match request {
        // On a blocking thread: it reads maps by system calls, and may fetch.
        Some(Ok(request)) => {
            let ends_by_itself = request.ends_by_itself();
            let response = tokio::task::spawn_blocking(move || daemon.answer(request, requester));
            tokio::select! {
                () = stop.cancelled(), if !ends_by_itself => Response::refused("aop is stopping"),
                response = response => response.map_err(io::Error::other)?,
            }
        }
        Some(Err(why)) => Response::refused(why),
        None => Response::refused(format!("a request is one line of at most {LONGEST} bytes")),
    };
    let written = async {
        stream.write_all(&response.into_line()).await?;
        stream.shutdown().await
    };
    let written = timeout(PATIENCE, written).await?;
    if matches!(level, AccessLevel::ReadOnly(_)) {
        // A client that asks in a loop must not keep the daemon busy.
        sleep(PAUSE).await;
    }
    drop(place);
    written
}
