//! The terminator process as the daemon has it: demands go one way, answers come back, and its end
//! is noticed at once.
//!
//! Demands are queued and arrive in their order, so whoever asks never blocks on a terminator that
//! does not read; how long to wait for an answer is the asker's choice. Two threads carry the bytes.
//! The one that reads owns the process, and waits for it: there is no zombie.

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

use aop_api::terminator::{Answer, Ask, Bundle, Report, Request, Said};
use aop_sandbox::{
    Confined, Fence, LaunchError, Launcher, Names, Verb,
    channel::{self, Message},
};
use tokio_util::sync::CancellationToken;

/// How long a report may take before the terminator counts as silent.
const REPORT: Duration = Duration::from_secs(2);

/// How long the keys of many sites may take.
const PREPARATION: Duration = Duration::from_secs(30);

/// What the terminator gets beyond the deadline of a drain, to cut connections.
const GRACE: Duration = Duration::from_secs(5);

/// A running terminator process. It is ended when this is dropped.
pub struct Link {
    pid: u32,
    user: String,
    fence: Fence,
    channel: Arc<UnixStream>,
    shared: Arc<Shared>,
    next: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What both threads and all askers share.
#[derive(Default)]
struct Shared {
    open: Mutex<Open>,
    gone: CancellationToken,
}

/// Where demands go; those without an answer yet, by their number; and once there will be none, why.
#[derive(Default)]
struct Open {
    demands: Option<mpsc::Sender<Demand>>,
    waiting: HashMap<u64, Waiting>,
    gone: Option<String>,
}

struct Waiting {
    asker: mpsc::Sender<Said>,
    report: bool,
    since: Instant,
}

struct Demand {
    message: Message,
    files: Vec<OwnedFd>,
}

/// An answer that is to come.
#[must_use]
pub(crate) struct Receipt {
    answer: mpsc::Receiver<Said>,
    shared: Arc<Shared>,
}

/// Why there is no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The process cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The process has ended, or was ended because it spoke nonsense.
    #[error(
        "the terminator process ended, {how}: nothing is served any more. Packets are filtered on; \
         restart aop (the log above says more)"
    )]
    Gone {
        /// How.
        how: String,
    },
    /// It does not answer in time.
    #[error(
        "the terminator process does not answer: it hangs, or the machine is overloaded. If that lasts, restart aop; packets are filtered on"
    )]
    Silent,
    /// It cannot do that.
    #[error("the terminator process refuses: {0}")]
    Refused(String),
}

impl Link {
    /// Starts the process. It dies with the *thread* that calls this.
    pub(super) fn start(launcher: &Launcher, names: Names) -> Result<Self, LinkError> {
        let (confined, channel) = launcher.launch(Verb::Terminate, names)?;
        let (pid, channel) = (confined.pid(), Arc::new(channel));
        let shared = Arc::new(Shared::default());
        let (demands, queue) = mpsc::channel();
        shared.open().demands = Some(demands);
        let mut link = Self {
            pid,
            user: launcher.user(),
            fence: Fence::default(),
            channel: channel.clone(),
            shared: shared.clone(),
            next: AtomicU64::new(0),
            threads: Mutex::default(),
        };
        let reading = channel.clone();
        link.spawn("terminator-in", move || read(&reading, confined, &shared))?;
        link.spawn("terminator-out", move || write(&channel, &queue))?;
        // Told by itself, before it has heard anybody who could make it lie.
        link.fence = match link.ask(Ask::Fence, Vec::new()).wait(PREPARATION)? {
            Said::Fence { landlock } => Fence { landlock },
            Said::Done | Said::Refused(_) | Said::Report(_) | Said::Drained { .. } => {
                return Err(LinkError::Silent);
            }
        };
        Ok(link)
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), LinkError> {
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
        // An error means that the far end is gone already.
        self.channel.shutdown(Shutdown::Both).ok();
        for thread in self.threads().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the channel has panicked");
            }
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The user that it is.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// What the kernel fences it in with.
    pub(super) fn fence(&self) -> Fence {
        self.fence
    }

    /// Waits until the process has ended, whyever, and says how.
    pub(super) async fn gone(&self) -> LinkError {
        self.shared.gone.cancelled().await;
        self.shared.gone()
    }

    /// Demands something. `files` go along, and are closed here.
    pub(super) fn ask(&self, ask: Ask, files: Vec<OwnedFd>) -> Receipt {
        let (asker, answer) = mpsc::channel();
        let id = self.next.fetch_add(1, Relaxed);
        let report = matches!(ask, Ask::Report);
        let receipt = Receipt { answer, shared: self.shared.clone() };
        let message = match Message::of(&Request { id, ask }) {
            Ok(message) => message,
            Err(error) => {
                // The receipt is here, so it arrives.
                asker.send(Said::Refused(error.to_string())).ok();
                return receipt;
            }
        };
        let mut open = self.shared.open();
        // Where the writer has ended, the reader will, and then clears what waits.
        if let Some(Ok(())) =
            open.demands.as_ref().map(|queue| queue.send(Demand { message, files }))
        {
            open.waiting.insert(id, Waiting { asker, report, since: Instant::now() });
        }
        receipt
    }

    /// Makes the terminator ready for a configuration, which changes nothing yet.
    pub(super) fn prepare(&self, bundle: Bundle) -> Result<(), LinkError> {
        self.ask(Ask::Prepare(bundle), Vec::new()).wait(PREPARATION).map(drop)
    }

    /// Has what was prepared served on the sockets among `files`.
    pub(super) fn serve(&self, ask: Ask, files: Vec<OwnedFd>) -> Result<(), LinkError> {
        self.ask(ask, files).wait(PREPARATION).map(drop)
    }

    /// Stops listening at once; open connections have `patience` to end.
    pub(super) fn drain(&self, patience: Duration) -> Draining {
        let milliseconds = patience.as_millis().try_into().unwrap_or(u64::MAX);
        let receipt = self.ask(Ask::Drain { patience: milliseconds }, Vec::new());
        Draining { receipt, patience: patience + GRACE }
    }

    /// How the terminator stands. While an earlier report is overdue no further one is asked for.
    pub(super) fn report(&self) -> Result<Report, LinkError> {
        let overdue = |waiting: &Waiting| waiting.report && waiting.since.elapsed() > REPORT;
        if self.shared.open().waiting.values().any(overdue) {
            return Err(LinkError::Silent);
        }
        match self.ask(Ask::Report, Vec::new()).wait(REPORT)? {
            Said::Report(report) => Ok(report.printable()),
            Said::Done | Said::Refused(_) | Said::Drained { .. } | Said::Fence { .. } => {
                Err(LinkError::Silent)
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}

/// A drain under way.
#[must_use]
pub(super) struct Draining {
    receipt: Receipt,
    patience: Duration,
}

impl Draining {
    /// How many connections had to be cut. Blocks.
    pub(super) fn wait(self) -> Result<usize, LinkError> {
        match self.receipt.wait(self.patience)? {
            Said::Drained { cut } => Ok(cut),
            Said::Done | Said::Report(_) | Said::Refused(_) | Said::Fence { .. } => {
                Err(LinkError::Silent)
            }
        }
    }
}

impl Receipt {
    /// The answer, where it comes within `patience`. Without one the demand stands, and is done when
    /// the terminator comes to it.
    pub(super) fn wait(self, patience: Duration) -> Result<Said, LinkError> {
        match self.answer.recv_timeout(patience) {
            Ok(Said::Refused(why)) => {
                Err(LinkError::Refused(why.replace(char::is_control, "\u{fffd}")))
            }
            Ok(said) => Ok(said),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(LinkError::Silent),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(self.shared.gone()),
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> LinkError {
        LinkError::Gone { how: self.open().gone.clone().unwrap_or_default() }
    }
}

fn read(channel: &UnixStream, mut confined: Confined, shared: &Shared) {
    let broken = loop {
        match channel::receive(channel) {
            Ok(Some(Answer { id, said })) => {
                let waiting = shared.open().waiting.remove(&id);
                // Whoever asked may have lost patience.
                waiting.and_then(|waiting| waiting.asker.send(said).ok());
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let how = match (broken, confined.end()) {
        (Some(error), Ok(status)) => format!("{status} ({error})"),
        (None, Ok(status)) => status.to_string(),
        (_, Err(error)) => format!("and how cannot be learned ({error})"),
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
            tracing::debug!("a demand does not reach the terminator: {error}");
            // What could follow a message that was cut is nonsense: the reader ends the process.
            channel.shutdown(Shutdown::Both).ok();
            return;
        }
    }
}
