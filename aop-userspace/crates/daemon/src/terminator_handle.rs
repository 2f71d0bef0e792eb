//! The daemon's handle of the terminator process: it sends requests, matches the answers to them,
//! and notices at once when the process ends.
//!
//! Requests are queued and arrive in order, so a caller never blocks on a terminator that does not
//! read; each caller chooses how long to wait for the answer. Two threads carry the bytes. The
//! reading one owns the process and reaps it, so that no zombie is left.

mod hanging;

use std::{
    collections::HashMap,
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aop_api::terminator::{
    Command, CommandEnvelope, ConfigBundle, MAX_TEXT, Reply, ReplyEnvelope, TerminatorSnapshot,
};
use aop_sandbox::{
    LaunchError, Launcher, NameLookup, ProcessRole, Sandbox, SandboxedProcess,
    channel::{self, Message},
};
use aop_types::Cleaned;
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// How long a report may take before the terminator counts as not answering.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the terminator may take to load the keys of many sites.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time beyond the deadline of a drain in which the terminator closes connections.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// A running terminator process. Dropping this ends it.
pub(crate) struct TerminatorHandle {
    pid: u32,
    user: String,
    sandbox: Sandbox,
    channel: Arc<UnixStream>,
    shared: Arc<Exchange>,
    next: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The exchange of requests and answers, which the threads and all callers share.
#[derive(Default)]
struct Exchange {
    outstanding: Mutex<Outstanding>,
    exited: CancellationToken,
}

/// The queue of requests, the requests that wait for an answer by their number, and why there will
/// be no more answers.
#[derive(Default)]
struct Outstanding {
    queue: Option<mpsc::Sender<QueuedRequest>>,
    waiting: HashMap<u64, PendingRequest>,
    exited: Option<String>,
}

/// A request that waits for its answer.
struct PendingRequest {
    reply_to: mpsc::Sender<Reply>,
    kind: RequestKind,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestKind {
    Report,
    Ping,
    /// It may take as long as a preparation.
    Change,
}

/// A request that waits to be sent.
struct QueuedRequest {
    message: Message,
    files: Vec<OwnedFd>,
}

/// A pending answer.
#[must_use]
pub(crate) struct PendingAck {
    answer: mpsc::Receiver<Reply>,
    shared: Arc<Exchange>,
}

/// Why there is no answer, or an error in its place.
#[derive(Debug, thiserror::Error)]
pub enum TerminatorError {
    /// The process cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The process has ended, perhaps because the daemon killed it after a malformed message.
    #[error(
        "the terminator process ended, {how}: no site is served any more. Packets are still \
         filtered; restart aop (the log above names the cause)"
    )]
    Exited {
        /// Its exit status or signal.
        how: String,
    },
    /// The process does not answer in time.
    #[error(
        "the terminator process does not answer: it hangs, or the machine is overloaded. If that \
         lasts, restart aop; packets are still filtered"
    )]
    NoAnswer,
    /// The process refused the request.
    #[error("the terminator process refuses: {0}")]
    Refused(String),
}

impl TerminatorHandle {
    /// Starts the process. The kernel kills it when the *thread* that calls this ends
    /// (PR_SET_PDEATHSIG).
    pub(super) fn start(launcher: &Launcher, names: NameLookup) -> Result<Self, TerminatorError> {
        let (process, channel) = launcher.launch(ProcessRole::Terminate, names)?;
        let (pid, channel) = (process.pid(), Arc::new(channel));
        let shared = Arc::new(Exchange::default());
        let (sender, queue) = mpsc::channel();
        shared.outstanding().queue = Some(sender);
        let mut handle = Self {
            pid,
            user: launcher.user(),
            sandbox: Sandbox::default(),
            channel: channel.clone(),
            shared: shared.clone(),
            next: AtomicU64::new(0),
            threads: Mutex::default(),
        };
        let reading = channel.clone();
        handle.spawn("terminator-in", move || read(&reading, process, &shared))?;
        handle.spawn("terminator-out", move || write(&channel, &queue))?;
        // The process reports its sandbox before it has read any byte of a peer that could subvert
        // it.
        handle.sandbox = match handle.ask(Command::Fence, Vec::new()).await_ack(PREPARE_TIMEOUT)? {
            Reply::Fence { landlock } => Sandbox { landlock },
            Reply::Done | Reply::Refused(_) | Reply::Report(_) | Reply::Drained { .. } => {
                return Err(TerminatorError::NoAnswer);
            }
        };
        Ok(handle)
    }

    fn spawn(
        &self,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), TerminatorError> {
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.lock().push(spawned.map_err(LaunchError::from)?);
        Ok(())
    }

    /// Ends the process, and waits for it.
    pub(super) fn end(&self) {
        self.shared.outstanding().queue = None;
        // An error means that the process is exited already.
        self.channel.shutdown(Shutdown::Both).ok();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the terminator's channel has panicked");
            }
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The user that it runs as.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// Its sandbox.
    pub(super) fn sandbox(&self) -> Sandbox {
        self.sandbox
    }

    /// Waits until the process has ended, for any reason, and returns how it ended.
    pub(super) async fn exited(&self) -> TerminatorError {
        self.shared.exited.cancelled().await;
        self.shared.exited()
    }

    /// Sends a request with `files`, which are closed here afterwards.
    pub(super) fn ask(&self, ask: Command, files: Vec<OwnedFd>) -> PendingAck {
        let (reply_to, answer) = mpsc::channel();
        let id = self.next.fetch_add(1, Relaxed);
        let kind = RequestKind::of(&ask);
        let ack = PendingAck { answer, shared: self.shared.clone() };
        let message = match Message::new(&CommandEnvelope { id, ask }) {
            Ok(message) => message,
            Err(error) => {
                // The receiver is in `ack`, so this arrives.
                reply_to.send(Reply::Refused(error.to_string())).ok();
                return ack;
            }
        };
        let mut outstanding = self.shared.outstanding();
        // If the writer has ended, the reader will end too, and then clears what waits.
        if let Some(Ok(())) =
            outstanding.queue.as_ref().map(|queue| queue.send(QueuedRequest { message, files }))
        {
            outstanding
                .waiting
                .insert(id, PendingRequest { reply_to, kind, since: Instant::now() });
        }
        ack
    }

    /// Makes the terminator load a configuration. It does not serve it yet.
    pub(super) fn prepare(&self, bundle: ConfigBundle) -> Result<(), TerminatorError> {
        self.ask(Command::Prepare(bundle), Vec::new()).await_ack(PREPARE_TIMEOUT).map(drop)
    }

    /// Makes the terminator serve the configuration that it has loaded, on the sockets among
    /// `files`.
    pub(super) fn serve(&self, ask: Command, files: Vec<OwnedFd>) -> Result<(), TerminatorError> {
        self.ask(ask, files).await_ack(PREPARE_TIMEOUT).map(drop)
    }

    /// Makes the terminator stop listening; open connections have `patience` to finish.
    pub(super) fn drain(&self, patience: Duration) -> PendingDrain {
        let milliseconds = patience.as_millis().try_into().unwrap_or(u64::MAX);
        let ack = self.ask(Command::Drain { patience: milliseconds }, Vec::new());
        PendingDrain { ack, patience: patience + CLOSE_TIME }
    }

    /// The state of the terminator. While an earlier report is overdue, no other is requested.
    pub(super) fn report(&self) -> Result<TerminatorSnapshot, TerminatorError> {
        let overdue = |it: &PendingRequest| {
            it.kind == RequestKind::Report && it.since.elapsed() > REPORT_TIMEOUT
        };
        if self.shared.outstanding().waiting.values().any(overdue) {
            return Err(TerminatorError::NoAnswer);
        }
        match self.ask(Command::Report, Vec::new()).await_ack(REPORT_TIMEOUT)? {
            Reply::Report(report) => Ok(*report),
            Reply::Done | Reply::Refused(_) | Reply::Drained { .. } | Reply::Fence { .. } => {
                Err(TerminatorError::NoAnswer)
            }
        }
    }
}

impl RequestKind {
    fn of(command: &Command) -> Self {
        match command {
            Command::Report => Self::Report,
            Command::Ping => Self::Ping,
            Command::Fence
            | Command::Prepare(_)
            | Command::Serve { .. }
            | Command::Commit(_)
            | Command::Admit(_)
            | Command::Drain { .. } => Self::Change,
        }
    }
}

impl Drop for TerminatorHandle {
    fn drop(&mut self) {
        self.end();
    }
}

/// A drain under way.
#[must_use]
pub(super) struct PendingDrain {
    ack: PendingAck,
    patience: Duration,
}

impl PendingDrain {
    /// Waits, and returns how many connections were closed at the deadline.
    pub(super) fn wait(self) -> Result<usize, TerminatorError> {
        match self.ack.await_ack(self.patience)? {
            Reply::Drained { cut } => Ok(cut),
            Reply::Done | Reply::Report(_) | Reply::Refused(_) | Reply::Fence { .. } => {
                Err(TerminatorError::NoAnswer)
            }
        }
    }
}

impl PendingAck {
    /// The answer, if it comes within `patience`. Without one the request stays queued, and the
    /// terminator still carries it out later.
    pub(super) fn await_ack(self, patience: Duration) -> Result<Reply, TerminatorError> {
        match self.answer.recv_timeout(patience) {
            Ok(Reply::Refused(why)) => Err(TerminatorError::Refused(why)),
            Ok(said) => Ok(said),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(TerminatorError::NoAnswer),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(self.shared.exited()),
        }
    }
}

impl Exchange {
    fn outstanding(&self) -> MutexGuard<'_, Outstanding> {
        self.outstanding.lock()
    }

    fn exited(&self) -> TerminatorError {
        TerminatorError::Exited { how: self.outstanding().exited.clone().unwrap_or_default() }
    }
}

fn read(channel: &UnixStream, mut process: SandboxedProcess, shared: &Exchange) {
    let broken = loop {
        match channel::receive::<Cleaned<_, MAX_TEXT>>(channel) {
            Ok(Some(Cleaned(ReplyEnvelope { id, said }))) => {
                let request = shared.outstanding().waiting.remove(&id);
                // The caller may have stopped waiting.
                request.and_then(|request| request.reply_to.send(said).ok());
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let how = match (broken, process.kill()) {
        (Some(error), Ok(status)) => format!("{status} ({error})"),
        (None, Ok(status)) => status.to_string(),
        (_, Err(error)) => format!("with unknown status ({error})"),
    };
    {
        let mut outstanding = shared.outstanding();
        outstanding.exited = Some(how);
        outstanding.queue = None;
        outstanding.waiting.clear();
    }
    shared.exited.cancel();
}

fn write(channel: &UnixStream, queue: &mpsc::Receiver<QueuedRequest>) {
    for QueuedRequest { message, files } in queue {
        let borrowed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        if let Err(error) = channel::send(channel, &message, &borrowed) {
            tracing::debug!("a request does not reach the terminator: {error}");
            // A message may have been cut, so nothing after it can be parsed: the reader ends the
            // process.
            channel.shutdown(Shutdown::Both).ok();
            return;
        }
    }
}
