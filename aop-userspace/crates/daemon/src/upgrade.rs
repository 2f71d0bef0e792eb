//! Upgrade: a new process takes over from the running daemon, without a refused or cut connection.
//!
//! The daemon starts the program that is now at its own path, and hands over the locks and the
//! listening sockets. The successor starts as usual; for a moment both accept from the same queues.
//! Then the old daemon drains. During the handover the old daemon changes nothing; if the successor
//! fails, the old daemon restores its firewall policy and goes on.

mod draining_predecessors;
pub(crate) mod messages;
mod predecessor;
mod reexec;
mod successor;

use std::{
    io,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    time::{Duration, Instant},
};

use aop_api::{Release, UpgradeResult};
use aop_firewall::FirewallError;
use aop_storage::{InstanceLock, LockError};
pub(super) use draining_predecessors::{DrainingPredecessor, DrainingPredecessors};
use jiff::Timestamp;
use messages::DrainingInfo;
use parking_lot::Mutex;
pub(super) use predecessor::{HandoverSource, HandoverState, TakeOverError};
pub(super) use reexec::Reexec;
use successor::{Descriptors, FirewallState, ServingSuccessor, StartFailed, Successor};

use super::{
    Daemon, DaemonError, active_policy::PacketFilter, identity_store, service_manager, sockets,
    start,
};

/// Greatest size of a message between two daemons.
const LONGEST: usize = 64 * 1024;
/// The longest time that an upgrade waits for orders of the fleet.
const ORDER_PATIENCE: Duration = Duration::from_secs(30);

/// How this process was started.
pub struct ProcessStart {
    pub(super) reexec: Reexec,
    pub(super) activated: Vec<(Option<String>, OwnedFd)>,
    pub(super) predecessor: Option<HandoverSource>,
}

impl ProcessStart {
    /// Collects it. Call it once, before there is a second thread: it takes ownership of the
    /// service manager's sockets. With `take_over` there is a daemon that hands over.
    ///
    /// # Errors
    /// There is no such daemon, a system call failed, or the variables are malformed.
    pub fn of_this_process(take_over: bool) -> Result<Self, DaemonError> {
        let reexec = Reexec::of_this_process().map_err(DaemonError::Runtime)?;
        let activated = sockets::activated()?;
        let predecessor = take_over.then(HandoverSource::from_stdin).transpose()?;
        Ok(Self { reexec, activated, predecessor })
    }
}

/// The state that goes to a successor, and the state that came from predecessors.
pub(super) struct Handover {
    reexec: Reexec,
    /// The listening sockets. The daemon itself never accepts on them.
    listeners: Mutex<Vec<TcpListener>>,
    /// The lock of the runtime directory, until a successor has it.
    instance: Mutex<Option<InstanceLock>>,
    pub(super) predecessors: DrainingPredecessors,
    /// The successor, once it serves.
    successor: Mutex<Option<SuccessorHandle>>,
}

/// The successor, while this daemon drains for it.
pub(super) struct SuccessorHandle {
    pub(super) channel: UnixStream,
    /// The longest time to drain.
    pub(super) patience: Duration,
}

/// Why this process stays the daemon.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("an upgrade is under way already; `aop status` shows when it is finished")]
    UnderWay,
    #[error("aop is stopping and cannot be upgraded")]
    Stopping,
    #[error(
        "aop is process 1 here, and a successor would end with it: replace the container instead"
    )]
    First,
    #[error("cannot start {}: {error}; install a program there. {STAYS}", .program.display())]
    Start { program: PathBuf, error: io::Error },
    #[error("{} does not take over: {why}. {STAYS}", .program.display())]
    Failed { program: PathBuf, why: String },
    #[error("{} ended before it served ({how}; the log says more). {STAYS}", .program.display())]
    Died { program: PathBuf, how: String },
    #[error(
        "{} did not answer within {patience:?}: it hangs, or is not aop. {STAYS}",
        .program.display()
    )]
    Silent { program: PathBuf, patience: Duration },
    #[error("{} did not serve within {patience:?}, and was killed. {STAYS}", .program.display())]
    Late { program: PathBuf, patience: Duration },
    #[error("cannot copy the descriptors for the new process: {0}. {STAYS}")]
    Copy(#[from] io::Error),
    #[error("firewall: {0}. {STAYS}")]
    Firewall(#[from] FirewallError),
    #[error("{why} But the firewall may still have the policy of the new process: {error}")]
    NotRegained { why: Box<UpgradeError>, error: DaemonError },
}

const STAYS: &str = "The old process continues to serve.";

impl Handover {
    pub(super) fn new(
        reexec: Reexec,
        listeners: Vec<TcpListener>,
        instance: InstanceLock,
        predecessors: DrainingPredecessors,
    ) -> Self {
        Self {
            reexec,
            listeners: Mutex::new(listeners),
            instance: Mutex::new(Some(instance)),
            predecessors,
            successor: Mutex::default(),
        }
    }

    /// Adds a socket of this daemon's for the successor.
    pub(super) fn add_listener(&self, listener: Option<TcpListener>) {
        self.listeners.lock().extend(listener);
    }

    pub(super) fn close_listeners(&self) {
        self.listeners.lock().clear();
    }

    /// Writes this process into the lock of the runtime directory.
    pub(super) fn sign_lock(&self) -> Result<(), LockError> {
        self.instance.lock().as_ref().map_or(Ok(()), InstanceLock::sign)
    }

    /// The successor for which this daemon drains; returned once.
    pub(super) fn take_successor(&self) -> Option<SuccessorHandle> {
        self.successor.lock().take()
    }

    fn send(
        &self,
        successor: &mut Successor,
        pins: Option<BorrowedFd<'_>>,
    ) -> Result<(), UpgradeError> {
        let (instance, listeners) = (self.instance.lock(), self.listeners.lock());
        self.predecessors.hand_over(|draining, channels| {
            successor.send_handover(&Descriptors {
                instance: instance.as_ref().map(AsFd::as_fd),
                pins,
                draining,
                channels,
                listeners: listeners.iter().map(AsFd::as_fd).collect(),
            })
        })
    }
}

impl Daemon {
    /// Hands over to a new process. Blocks until that serves or fails; after a failure this process
    /// is the daemon as before.
    pub(super) fn upgrade(&self) -> Result<UpgradeResult, UpgradeError> {
        if std::process::id() == 1 {
            return Err(UpgradeError::First);
        }
        if self.lifecycle.is_handing_over() {
            return Err(UpgradeError::UnderWay);
        }
        // A refresh that is under way finishes and stores its list first, so that the successor
        // finds it. The same holds for an order of the fleet, which may be to refresh.
        let until = Instant::now() + ORDER_PATIENCE;
        let _no_refresh = loop {
            self.orders.await_end(until);
            let no_refresh = self.refresher.exclude();
            let _no_changes = self.policy.exclude_changes();
            if !self.orders.is_busy() || Instant::now() >= until {
                self.lifecycle.begin_upgrade()?;
                break no_refresh;
            }
        };
        // Waits for a check of the interfaces that began before.
        drop(self.firewall());
        self.store_identities_for_successor();
        self.store_strangers_for_successor();
        let program = &self.handover.reexec.program;
        tracing::info!(program = %program.display(), "upgrading: starting a process");
        match self.hand_over() {
            Ok((upgraded, successor)) => {
                let UpgradeResult { from, to, draining, .. } = &upgraded;
                tracing::info!(
                    from = from.version,
                    to = to.version,
                    pid = to.pid,
                    draining,
                    "upgraded: the new process serves"
                );
                self.handover.predecessors.release_to_successor();
                *self.handover.successor.lock() = successor;
                self.lifecycle.hand_over();
                self.release_locks();
                Ok(upgraded)
            }
            Err(StartFailed { error, firewall }) => {
                let restored = match firewall {
                    FirewallState::Untouched => Ok(()),
                    FirewallState::MayHaveChanged => self.restore_firewall(),
                };
                let error = match restored {
                    Ok(()) => error,
                    Err(other) => UpgradeError::NotRegained { why: error.into(), error: other },
                };
                let error = self.lifecycle.upgrade_failed(error);
                tracing::error!("not upgraded: {error}");
                Err(error)
            }
        }
    }

    fn hand_over(&self) -> Result<(UpgradeResult, Option<SuccessorHandle>), StartFailed> {
        let pins = self.firewall().map(|firewall| firewall.copy_pins_lock()).transpose();
        let pins = pins.map_err(UpgradeError::from)?.flatten();
        let mut successor = Successor::start(&self.handover.reexec)?;
        self.lifecycle.close_on_stop(successor.channel().map_err(UpgradeError::from)?)?;
        self.handover.send(&mut successor, pins.as_ref().map(AsFd::as_fd))?;
        let ServingSuccessor { version, source } = successor.await_serving()?;
        // After this, a failure leaves the successor's policy in the firewall.
        self.release_to(successor, version, &source)
            .map_err(|error| StartFailed { error, firewall: FirewallState::MayHaveChanged })
    }

    /// Leaves the daemon's role to a successor that serves the configuration `source`.
    fn release_to(
        &self,
        successor: Successor,
        version: String,
        source: &str,
    ) -> Result<(UpgradeResult, Option<SuccessorHandle>), UpgradeError> {
        let (drain, longer, digest) = {
            let policy = self.policy.read();
            (policy.live.shutdown, policy.live.linger, policy.digest())
        };
        // A successor with another configuration may trust less, so the old one must not drain
        // long.
        let drains_longer = longer > drain && source == digest;
        let patience = if drains_longer { longer } else { drain };
        let own_version = || env!("CARGO_PKG_VERSION").to_owned();
        let report = self.terminator.as_ref().and_then(|it| it.report().ok());
        let upgraded = UpgradeResult {
            from: Release { version: own_version(), pid: std::process::id() },
            to: Release { version, pid: successor.pid() },
            draining: report.map_or(0, |it| it.open),
            deadline_seconds: patience.as_secs(),
        };
        // Before this, the service manager ignores notifications of the successor.
        service_manager::main_process(successor.pid());
        let info = drains_longer.then(|| DrainingInfo {
            pid: std::process::id(),
            version: own_version(),
            until: Timestamp::now().saturating_add(patience).unwrap_or(Timestamp::MAX),
        });
        let channel = successor
            .release(info)
            .inspect_err(|_| service_manager::main_process(std::process::id()))?;
        Ok((upgraded, drains_longer.then_some(SuccessorHandle { channel, patience })))
    }

    /// Releases the locks, so that a third daemon can start if the successor ends before this one.
    fn release_locks(&self) {
        self.handover.instance.lock().take();
        if let Some(firewall) = self.firewall() {
            firewall.release_pins_lock();
        }
    }

    fn store_identities_for_successor(&self) {
        let identities = self.identities().map_err(|error| error.to_string());
        let stored = identities.and_then(|identities| {
            identity_store::save(&self.settings.paths.state, &identities)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = stored {
            tracing::warn!("the client certificates seen within the last minute are lost: {error}");
        }
    }

    /// Restores this daemon's firewall policy after the successor has failed.
    fn restore_firewall(&self) -> Result<(), DaemonError> {
        let _no_changes = self.policy.exclude_changes();
        let (policy, packets) = {
            let policy = self.policy.read();
            (policy.for_firewall(), policy.packets)
        };
        if packets == PacketFilter::Unloaded {
            // The operator has unloaded ours: the pins are those of the new process.
            aop_firewall::unload(&self.settings.paths.pins)?;
            return Ok(());
        }
        match self.firewall() {
            Some(mut firewall) => Ok(firewall.restore(&policy)?),
            None => start::retire_leftovers(&self.settings.paths.pins),
        }
    }
}

impl From<UpgradeError> for StartFailed {
    fn from(error: UpgradeError) -> Self {
        Self { error, firewall: FirewallState::Untouched }
    }
}
