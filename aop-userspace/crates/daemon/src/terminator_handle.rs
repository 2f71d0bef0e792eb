//! The daemon's handle of the terminator process: it sends requests, matches the answers to them,
//! and notices at once when the process ends.
//!
//! Requests are queued and arrive in order, so a caller never blocks on a terminator that does not
//! read; each caller chooses how long to wait for the answer. Two threads carry the bytes. The
//! reading one owns the process and reaps it, so that no zombie is left.

use std::{
    collections::HashMap,
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aop_api::terminator::{
    Command, CommandEnvelope, ConfigBundle, Reply, ReplyEnvelope, TerminatorSnapshot,
};
use aop_sandbox::{
    LaunchError, Launcher, NameLookup, ProcessRole, Sandbox, SandboxedProcess,
    channel::{self, Message},
};
use tokio_util::sync::CancellationToken;

/// How long a report may take before the terminator counts as not answering.
const REPORT: Duration = Duration::from_secs(2);

/// How long the terminator may take to load the keys of many sites.
const PREPARATION: Duration = Duration::from_secs(30);

/// Time beyond the deadline of a drain in which the terminator closes connections.
const GRACE: Duration = Duration::from_secs(5);

/// A running terminator process. Dropping this ends it.
pub struct TerminatorHandle {
    pid: u32,
    user: String,
    fence: Sandbox,
    channel: Arc<UnixStream>,
    shared: Arc<Shared>,
    next: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// State that the threads and all callers share.
#[derive(Default)]
struct Shared {
    open: Mutex<Open>,
    gone: CancellationToken,
}

/// The queue of requests, the requests that wait for an answer by their number, and why there will
/// be no more answers.
#[derive(Default)]
struct Open {
    demands: Option<mpsc::Sender<Demand>>,
    waiting: HashMap<u64, Waiting>,
    gone: Option<String>,
}

struct Waiting {
    asker: mpsc::Sender<Reply>,
    report: bool,
    since: Instant,
}

struct Demand {
    message: Message,
    files: Vec<OwnedFd>,
}

/// A pending answer.
#[must_use]
pub(crate) struct PendingAck {
    answer: mpsc::Receiver<Reply>,
    shared: Arc<Shared>,
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
    Gone {
        /// Its exit status or signal.
        how: String,
    },
    /// The process does not answer in time.
    #[error(
        "the terminator process does not answer: it hangs, or the machine is overloaded. If that \
         lasts, restart aop; packets are still filtered"
    )]
    Silent,
    /// The process refused the request.
    #[error("the terminator process refuses: {0}")]
    Refused(String),
}

impl TerminatorHandle {
    /// Starts the process. The kernel kills it when the *thread* that calls this ends
    /// (PR_SET_PDEATHSIG).
    pub(super) fn start(launcher: &Launcher, names: NameLookup) -> Result<Self, TerminatorError> {
        let (confined, channel) = launcher.launch(ProcessRole::Terminate, names)?;
        let (pid, channel) = (confined.pid(), Arc::new(channel));
        let shared = Arc::new(Shared::default());
        let (demands, queue) = mpsc::channel();
        shared.open().demands = Some(demands);
        let mut link = Self {
            pid,
            user: launcher.user(),
            fence: Sandbox::default(),
            channel: channel.clone(),
            shared: shared.clone(),
            next: AtomicU64::new(0),
            threads: Mutex::default(),
        };
        let reading = channel.clone();
        link.spawn("terminator-in", move || read(&reading, confined, &shared))?;
        link.spawn("terminator-out", move || write(&channel, &queue))?;
        // The process reports its sandbox before it has read any byte of a peer that could subvert
        // it.
        link.fence = match link.ask(Command::Fence, Vec::new()).wait(PREPARATION)? {
            Reply::Fence { landlock } => Sandbox { landlock },
            Reply::Done | Reply::Refused(_) | Reply::Report(_) | Reply::Drained { .. } => {
                return Err(TerminatorError::Silent);
            }
        };
        Ok(link)
    }

    fn spawn(
        &self,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), TerminatorError> {
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads().push(spawned.map_err(LaunchError::from)?);
        Ok(())
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process, and waits for it.
    pub(super) fn end(&self) {
        self.shared.open().demands = None;
        // An error means that the process is gone already.
        self.channel.shutdown(Shutdown::Both).ok();
        for thread in self.threads().drain(..) {
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
    pub(super) fn fence(&self) -> Sandbox {
        self.fence
    }

    /// Waits until the process has ended, for any reason, and returns how it ended.
    pub(super) async fn gone(&self) -> TerminatorError {
        self.shared.gone.cancelled().await;
        self.shared.gone()
    }

    /// Sends a request with `files`, which are closed here afterwards.
    pub(super) fn ask(&self, ask: Command, files: Vec<OwnedFd>) -> PendingAck {
        let (asker, answer) = mpsc::channel();
        let id = self.next.fetch_add(1, Relaxed);
        let report = matches!(ask, Command::Report);
        let receipt = PendingAck { answer, shared: self.shared.clone() };
        let message = match Message::of(&CommandEnvelope { id, ask }) {
            Ok(message) => message,
            Err(error) => {
                // The receiver is in `receipt`, so this arrives.
                asker.send(Reply::Refused(error.to_string())).ok();
                return receipt;
            }
        };
        let mut open = self.shared.open();
        // If the writer has ended, the reader will end too, and then clears what waits.
        if let Some(Ok(())) =
            open.demands.as_ref().map(|queue| queue.send(Demand { message, files }))
        {
            open.waiting.insert(id, Waiting { asker, report, since: Instant::now() });
        }
        receipt
    }

    /// Makes the terminator load a configuration. It does not serve it yet.
    pub(super) fn prepare(&self, bundle: ConfigBundle) -> Result<(), TerminatorError> {
        self.ask(Command::Prepare(bundle), Vec::new()).wait(PREPARATION).map(drop)
    }

    /// Makes the terminator serve the configuration that it has loaded, on the sockets among
    /// `files`.
    pub(super) fn serve(&self, ask: Command, files: Vec<OwnedFd>) -> Result<(), TerminatorError> {
        self.ask(ask, files).wait(PREPARATION).map(drop)
    }

    /// Makes the terminator stop listening; open connections have `patience` to finish.
    pub(super) fn drain(&self, patience: Duration) -> Draining {
        let milliseconds = patience.as_millis().try_into().unwrap_or(u64::MAX);
        let receipt = self.ask(Command::Drain { patience: milliseconds }, Vec::new());
        Draining { receipt, patience: patience + GRACE }
    }

    /// The state of the terminator. While an earlier report is overdue, no other is requested.
    pub(super) fn report(&self) -> Result<TerminatorSnapshot, TerminatorError> {
        let overdue = |waiting: &Waiting| waiting.report && waiting.since.elapsed() > REPORT;
        if self.shared.open().waiting.values().any(overdue) {
            return Err(TerminatorError::Silent);
        }
        match self.ask(Command::Report, Vec::new()).wait(REPORT)? {
            Reply::Report(report) => Ok(report.printable()),
            Reply::Done | Reply::Refused(_) | Reply::Drained { .. } | Reply::Fence { .. } => {
                Err(TerminatorError::Silent)
            }
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
pub(super) struct Draining {
    receipt: PendingAck,
    patience: Duration,
}

impl Draining {
    /// Waits, and returns how many connections were closed at the deadline.
    pub(super) fn wait(self) -> Result<usize, TerminatorError> {
        match self.receipt.wait(self.patience)? {
            Reply::Drained { cut } => Ok(cut),
            Reply::Done | Reply::Report(_) | Reply::Refused(_) | Reply::Fence { .. } => {
                Err(TerminatorError::Silent)
            }
        }
    }
}

impl PendingAck {
    /// The answer, if it comes within `patience`. Without one the request stays queued, and the
    /// terminator still carries it out later.
    pub(super) fn wait(self, patience: Duration) -> Result<Reply, TerminatorError> {
        match self.answer.recv_timeout(patience) {
            Ok(Reply::Refused(why)) => {
                Err(TerminatorError::Refused(why.replace(char::is_control, "\u{fffd}")))
            }
            Ok(said) => Ok(said),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(TerminatorError::Silent),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(self.shared.gone()),
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> TerminatorError {
        TerminatorError::Gone { how: self.open().gone.clone().unwrap_or_default() }
    }
}

fn read(channel: &UnixStream, mut confined: SandboxedProcess, shared: &Shared) {
    let broken = loop {
        match channel::receive(channel) {
            Ok(Some(ReplyEnvelope { id, said })) => {
                let waiting = shared.open().waiting.remove(&id);
                // The caller may have stopped waiting.
                waiting.and_then(|waiting| waiting.asker.send(said).ok());
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let how = match (broken, confined.end()) {
        (Some(error), Ok(status)) => format!("{status} ({error})"),
        (None, Ok(status)) => status.to_string(),
        (_, Err(error)) => format!("with unknown status ({error})"),
    };
    {
        let mut open = shared.open();
        open.gone = Some(how);
        open.demands = None;
        open.waiting.clear();
    }
    shared.gone.cancel();
}

fn write(channel: &UnixStream, queue: &mpsc::Receiver<Demand>) {
    for Demand { message, files } in queue {
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
