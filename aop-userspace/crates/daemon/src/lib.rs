//! The daemon: joins the firewall, the terminator process and the admin API, and runs until a
//! signal.
//!
//! The daemon holds the privileges, and reads no byte of a peer: the terminator process does.
//! Start: read and check everything, bind, attach the firewall, serve; a failed start leaves
//! nothing behind. SIGHUP reloads; SIGTERM, SIGINT and a finished upgrade drain. The firewall stays
//! attached when the daemon exits.

mod active_policy;
mod answers;
mod audit_log;
mod config_digest;
mod deadlines;
mod enforce_preflight;
mod error;
mod file_stat;
mod identity_store;
mod interface_watch;
mod load;
mod metrics_snapshot;
mod mode_overrides;
mod monitor;
mod opening_commands;
mod openings;
mod packet_log;
mod prepare;
mod refresh;
mod reload;
mod reload_queue;
mod service_manager;
mod set_mode;
mod shutdown;
mod site_files;
mod sockets;
mod start;
mod status;
mod terminator_handle;
mod upgrade;

use std::{
    ffi::OsString,
    future::pending,
    io,
    net::TcpListener,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

pub use active_policy::ActivePolicy;
use aop_config::StartupConfig;
use aop_control::RequestHandler;
use aop_firewall::{Firewall, PacketLog};
use aop_sandbox::Launcher;
use aop_storage::InstanceLock;
use audit_log::Audit;
pub use error::DaemonError;
pub use identity_store::load as kept_identities;
pub use load::{Loaded, load};
pub use mode_overrides::switched;
use monitor::Beats;
use openings::Openings;
pub use openings::load as kept_openings;
pub use prepare::{CheckedConfig, prepare};
use reload_queue::Reloads;
use service_manager::Heart;
use start::Begun;
use terminator_handle::{TerminatorError, TerminatorHandle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
pub use upgrade::ProcessStart;
use upgrade::{DrainingPredecessors, Handover, Reexec};

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownOutcome {
    /// Every connection finished.
    Drained,
    /// The deadline passed, and this many connections were closed.
    Cut(usize),
}

/// A running daemon.
pub(crate) struct Daemon {
    pub fixed: StartupConfig,
    pub firewall: Option<Mutex<Firewall>>,
    /// The terminator process, where there is something to serve.
    pub link: Option<TerminatorHandle>,
    pub launcher: Launcher,
    /// The listening sockets, kept for the successor. The daemon itself never accepts on them.
    sockets: Mutex<Vec<TcpListener>>,
    /// The lock of the runtime directory, until a handover.
    lock: Mutex<Option<InstanceLock>>,
    again: Reexec,
    handover: Handover,
    lingerers: DrainingPredecessors,
    openings: Mutex<Openings>,
    pub in_force: Mutex<ActivePolicy>,
    /// Taken by every change of what is in force.
    pub(crate) applying: Mutex<()>,
    /// Held by the refresh that is under way.
    pub(crate) refreshing: Mutex<()>,
    pub facts: status::LiveFacts,
    reloads: Reloads,
    audit: Audit,
    pub started: Instant,
}

/// Logging of the daemon and its processes.
#[derive(Clone, Debug)]
pub struct Logs {
    /// What the packet programs log.
    pub packets: PacketLog,
    /// The log options of the command line, which the terminator process gets, too.
    pub options: Vec<OsString>,
}

/// Runs the daemon with the configuration in `file` until a signal or a successor ends it. Call it
/// on a thread that lives as long: the kernel kills the terminator process when that thread ends.
///
/// # Errors
/// A file is bad, an address cannot be bound, the firewall cannot be started, or another daemon
/// runs: then nothing is left behind. Or the terminator process has died.
pub async fn run(
    file: &Path,
    beginning: ProcessStart,
    logs: Logs,
) -> Result<ShutdownOutcome, DaemonError> {
    let ProcessStart { again, activated, predecessor } = beginning;
    let log = logs.packets;
    let begun = start::begin(file, again, activated, predecessor.as_ref(), logs);
    if let (Err(error), Some(predecessor)) = (&begun, &predecessor) {
        predecessor.failed(error);
    }
    let Begun { mut signals, control, monitor, daemon, watch } = begun?;
    let daemon = Arc::new(daemon);
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    interface_watch::follow(&daemon, watch, &tasks, &stop);
    packet_log::follow(&daemon, log, &tasks, &stop);
    let answers = Arc::clone(&daemon) as Arc<dyn RequestHandler>;
    tasks.spawn(control.serve(answers, tasks.clone(), stop.clone()));
    if let Some((monitor, pulse)) = monitor {
        tasks.spawn(monitor.serve(Arc::clone(&daemon), pulse, tasks.clone(), stop.clone()));
    }
    tasks.spawn(Arc::clone(&daemon).heed_signals(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).watch_files(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).keep_fresh(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).keep(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).end_in_time(stop.clone()));
    if let Some(predecessor) = predecessor {
        let since = daemon.lingerers.let_go_so_far();
        let lingerer = predecessor.served(daemon.digest());
        lingerer.into_iter().for_each(|it| daemon.lingerers.add(it, since));
        daemon.lock().as_ref().map_or(Ok(()), InstanceLock::sign)?;
    }
    tracing::info!(
        listeners = daemon.fixed.listeners.len(),
        firewall = daemon.firewall.is_some(),
        terminator = daemon.link.as_ref().map(TerminatorHandle::pid),
        "ready"
    );
    service_manager::ready("serving");
    let ended = daemon.attend(&mut signals).await;
    stop.cancel();
    daemon.close();
    tasks.close();
    tasks.wait().await;
    // Not left to `Drop`: a fetch that hangs may hold its reference to the daemon for longer.
    daemon.link.iter().for_each(TerminatorHandle::end);
    ended
}

impl Daemon {
    /// Handles signals until one stops the daemon, a successor takes over, or the terminator dies.
    async fn attend(
        self: &Arc<Self>,
        signals: &mut Signals,
    ) -> Result<ShutdownOutcome, DaemonError> {
        let mut heart = Heart::begin();
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Reload => self.reloads.signal(),
                    Asked::Stop => {
                        service_manager::stopping("draining");
                        self.handover.stop();
                        return self.drain(signals, &mut heart, None).await;
                    }
                },
                () = self.handover.over() => {
                    let heir = self.handover.heir();
                    return self.drain(signals, &mut Heart::none(), heir).await;
                },
                () = heart.beat() => {}
                error = self.terminator_gone() => {
                    tracing::error!("{error}");
                    self.lingerers.let_go();
                    return Err(error.into());
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<InstanceLock>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn terminator_gone(&self) -> TerminatorError {
        match &self.link {
            Some(link) => link.gone().await,
            None => pending().await,
        }
    }
}

/// The request of a signal.
enum Asked {
    Reload,
    Stop,
}

struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Answered while the loop waits for signals.
    beats: Beats,
}

impl Signals {
    fn install(beats: Beats) -> io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            beats,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.reload.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            never = self.beats.answer() => match never {},
        }
    }
}
