//! The daemon: joins the firewall, the terminator process and the admin API, and runs until a
//! signal.
//!
//! The daemon holds the privileges, and reads no byte of a peer: the terminator process does.
//! Start: read and check everything, bind, attach the firewall, serve; a failed start leaves
//! nothing behind. SIGHUP reloads; SIGTERM, SIGINT and a finished upgrade drain. The firewall stays
//! attached when the daemon exits.

mod active_policy;
mod admitted_extra;
mod answers;
mod audit_log;
mod background;
mod changed_config;
mod config_digest;
mod crash_record;
mod deadlines;
mod enforce_preflight;
mod error;
mod file_stat;
mod fleet_orders;
mod fleet_reporter;
mod guarded_interfaces;
mod identity_store;
mod interface_watch;
mod lifecycle;
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
mod signals;
mod site_evidence;
mod site_files;
mod sockets;
mod start;
mod status;
mod strangers;
mod terminator_handle;
mod turn;
mod upgrade;

use std::{ffi::OsString, future::pending, path::Path, pin::pin, sync::Arc, time::Instant};

use aop_api::CrashReport;
use aop_config::StartupConfig;
use aop_control::RequestHandler;
use aop_firewall::{Firewall, PacketLog};
use aop_monitor::MonitorEnd;
use aop_sandbox::Launcher;
use audit_log::AuditLog;
pub use crash_record::stored_crash;
pub use error::DaemonError;
use fleet_orders::ObeyedOrders;
use fleet_reporter::FleetReporter;
pub use identity_store::load as stored_identities;
use lifecycle::Lifecycle;
pub use load::{Loaded, load};
pub use mode_overrides::stored_overrides;
use monitor::MonitorPages;
pub use openings::stored as stored_openings;
use parking_lot::{Mutex, MutexGuard};
pub use prepare::{CheckedConfig, prepare, prepare_text};
use refresh::Refresher;
use reload_queue::ReloadQueue;
use service_manager::Watchdog;
use signals::{SignalRequest, Signals};
use site_evidence::SiteEvidence;
use start::StartedDaemon;
use strangers::Strangers;
pub use strangers::stored as stored_strangers;
use terminator_handle::{TerminatorError, TerminatorHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use turn::PolicyStore;
use upgrade::Handover;
pub use upgrade::ProcessStart;

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownOutcome {
    /// Every connection finished.
    Drained,
    /// The deadline passed, and this many connections were closed.
    Cut(usize),
}

/// A running daemon: its parts, each with its own locks.
pub(crate) struct Daemon {
    /// The settings that only a restart changes.
    settings: StartupConfig,
    launcher: Launcher,
    started: Instant,
    /// The policy in force; a [turn](turn::Turn) changes it.
    policy: PolicyStore,
    lifecycle: Lifecycle,
    refresher: Refresher,
    reloads: ReloadQueue,
    firewall: Option<Mutex<Firewall>>,
    /// The terminator process, where there is something to serve.
    terminator: Option<TerminatorHandle>,
    handover: Handover,
    audit: AuditLog,
    /// The last crash of an earlier run.
    last_crash: Option<CrashReport>,
    /// The pulls that observing sites relayed in earlier runs.
    evidence: SiteEvidence,
    strangers: Strangers,
    fleet: FleetReporter,
    orders: ObeyedOrders,
}

/// Logging of the daemon and its processes.
#[derive(Clone, Debug)]
pub struct Logs {
    /// The log level of the packet programs.
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
    let ProcessStart { reexec, activated, predecessor } = beginning;
    let log = logs.packets;
    let started = start::begin(file, reexec, activated, predecessor.as_ref(), logs);
    if let (Err(error), Some(predecessor)) = (&started, &predecessor) {
        predecessor.failed(error);
    }
    let StartedDaemon { mut signals, control, monitor, daemon, changes } = started?;
    let daemon = Arc::new(daemon);
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    interface_watch::follow(&daemon, changes, &tasks, &stop);
    packet_log::follow(&daemon, log, &tasks, &stop);
    let handler = Arc::clone(&daemon) as Arc<dyn RequestHandler>;
    let handed_over = daemon.lifecycle.handed_over().clone();
    tasks.spawn(control.serve(handler, tasks.clone(), stop.clone(), handed_over));
    if let Some((monitor, probe)) = monitor {
        let pages = MonitorPages::new(Arc::clone(&daemon), probe);
        let handed_over = daemon.lifecycle.handed_over().clone();
        let end = MonitorEnd { stop: stop.clone(), handed_over };
        tasks.spawn(monitor.serve(pages, tasks.clone(), end));
    }
    tasks.spawn(Arc::clone(&daemon).reload_on_signals(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).watch_files(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).refresh_when_due(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).store_identities(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).watch_strangers(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).watch_deadlines(stop.clone()));
    tasks.spawn(Arc::clone(&daemon).report_to_fleet(stop.clone()));
    if let Some(source) = predecessor {
        let predecessors = &daemon.handover.predecessors;
        // Before the digest: a change after it drops the predecessor.
        let generation = predecessors.generation();
        let digest = daemon.policy.read().digest();
        source.served(digest).into_iter().for_each(|it| predecessors.add(it, generation));
        daemon.handover.sign_lock()?;
    }
    // A predecessor that failed to hand over would need its pins.
    daemon.firewall().iter_mut().for_each(|firewall| firewall.finish_migration());
    crash_record::begin(&daemon.settings.paths.state, daemon.last_crash.as_ref());
    tracing::info!(
        listeners = daemon.settings.listeners.len(),
        firewall = daemon.firewall.is_some(),
        terminator = daemon.terminator.as_ref().map(TerminatorHandle::pid),
        "ready"
    );
    service_manager::ready("serving");
    let ended = daemon.run_until_stopped(&mut signals).await;
    stop.cancel();
    daemon.close();
    tasks.close();
    tasks.wait().await;
    // Not left to `Drop`: a fetch that hangs may hold its reference to the daemon for longer.
    daemon.terminator.iter().for_each(TerminatorHandle::end);
    daemon.record_end(&ended);
    ended
}

impl Daemon {
    /// Handles signals until one stops the daemon, a successor takes over, or the terminator dies.
    async fn run_until_stopped(
        self: &Arc<Self>,
        signals: &mut Signals,
    ) -> Result<ShutdownOutcome, DaemonError> {
        let mut watchdog = Watchdog::begin();
        let mut hanging = pin!(self.kill_hanging_terminator());
        loop {
            tokio::select! {
                request = signals.next() => match request {
                    SignalRequest::Reload => self.reloads.signal(),
                    SignalRequest::Stop => {
                        service_manager::stopping("draining");
                        return self.drain(signals, &mut watchdog, None).await;
                    }
                },
                () = self.lifecycle.handed_over().cancelled() => {
                    let successor = self.handover.take_successor();
                    return self.drain(signals, &mut Watchdog::none(), successor).await;
                },
                () = watchdog.tick() => {}
                () = &mut hanging => {}
                error = self.terminator_exited() => {
                    self.handover.predecessors.drop_all();
                    return Err(error.into());
                }
            }
        }
    }

    /// Forbids all further changes. Waits for a change that is being applied, never for a fetch:
    /// the next daemon may start while a fetch hangs.
    fn close(&self) {
        let _no_changes = self.policy.exclude_changes();
        self.lifecycle.close();
    }

    /// The firewall, where it is on.
    fn firewall(&self) -> Option<MutexGuard<'_, Firewall>> {
        self.firewall.as_ref().map(Mutex::lock)
    }

    /// Never ends.
    async fn kill_hanging_terminator(&self) {
        match &self.terminator {
            Some(terminator) => terminator.kill_if_it_hangs().await,
            None => pending().await,
        }
    }

    async fn terminator_exited(&self) -> TerminatorError {
        match &self.terminator {
            Some(terminator) => terminator.exited().await,
            None => pending().await,
        }
    }
}
