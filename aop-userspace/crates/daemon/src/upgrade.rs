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
    fmt, io,
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aop_api::{Release, UpgradeResult};
use aop_firewall::FirewallError;
pub(super) use draining_predecessors::{DrainingPredecessor, DrainingPredecessors};
use jiff::Timestamp;
pub(super) use predecessor::TakeOverError;
pub(super) use predecessor::{HandoverState, Predecessor};
pub(super) use reexec::Reexec;
use successor::Successor;
use tokio_util::sync::CancellationToken;

use super::{Daemon, DaemonError, identity_store, reload, service_manager, sockets, start};
use crate::upgrade::messages::Lingering;

/// Greatest size of a message between two daemons.
const LONGEST: usize = 64 * 1024;

/// How this process was started.
pub struct ProcessStart {
    pub(super) again: Reexec,
    pub(super) activated: Vec<(Option<String>, OwnedFd)>,
    pub(super) predecessor: Option<Predecessor>,
}

impl ProcessStart {
    /// Collects it. Call it once, before there is a second thread: it takes ownership of the
    /// service manager's sockets. With `take_over` there is a daemon that hands over.
    ///
    /// # Errors
    /// There is no such daemon, a system call failed, or the variables are malformed.
    pub fn learn(take_over: bool) -> Result<Self, DaemonError> {
        let again = Reexec::learn().map_err(DaemonError::Runtime)?;
        let activated = sockets::activated()?;
        let predecessor = take_over.then(Predecessor::found).transpose()?;
        Ok(Self { again, activated, predecessor })
    }
}

/// The state of handovers from this daemon.
#[derive(Default)]
pub(super) struct Handover {
    stage: Mutex<Stage>,
    over: CancellationToken,
    heir: Mutex<Option<SuccessorHandle>>,
}

/// The successor, while this daemon drains for it.
pub(super) struct SuccessorHandle {
    pub(super) channel: UnixStream,
    /// The longest time to drain.
    pub(super) patience: Duration,
}

#[derive(Default)]
enum Stage {
    /// This process is the daemon.
    #[default]
    None,
    /// A successor starts.
    UnderWay { channel: Option<UnixStream>, aborted: bool },
    /// A successor is the daemon.
    Over,
    /// This daemon stops without a successor.
    Stopping,
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

/// Changes are refused because an upgrade is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpgradeInProgress;

impl fmt::Display for UpgradeInProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "aop is being upgraded and accepts no changes until that is finished: try again in a \
             few seconds",
        )
    }
}

impl std::error::Error for UpgradeInProgress {}

impl Handover {
    /// Whether this daemon may change what is in force, on the host and on disk. Call it with the
    /// turn; the answer is valid until the end of the turn.
    pub(super) fn may_change(&self) -> Result<(), UpgradeInProgress> {
        match *self.stage() {
            Stage::None | Stage::Stopping => Ok(()),
            Stage::UnderWay { .. } | Stage::Over => Err(UpgradeInProgress),
        }
    }

    /// Waits until a successor is the daemon.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Whether a successor is the daemon.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// This daemon stops: no successor may take over, and an upgrade that is under way is aborted.
    pub(super) fn stop(&self) {
        match &mut *self.stage() {
            Stage::UnderWay { channel, aborted } => {
                *aborted = true;
                // An error means that the successor is gone already.
                channel.as_ref().and_then(|channel| channel.shutdown(Shutdown::Both).ok());
            }
            Stage::Over => {}
            stage @ (Stage::None | Stage::Stopping) => *stage = Stage::Stopping,
        }
    }

    fn begin(&self) -> Result<(), UpgradeError> {
        let mut stage = self.stage();
        match *stage {
            Stage::None => *stage = Stage::UnderWay { channel: None, aborted: false },
            Stage::UnderWay { .. } | Stage::Over => return Err(UpgradeError::UnderWay),
            Stage::Stopping => return Err(UpgradeError::Stopping),
        }
        Ok(())
    }

    /// Registers the channel that a stop closes. Fails if a stop came before.
    fn cut_by(&self, cut: UnixStream) -> Result<(), UpgradeError> {
        match &mut *self.stage() {
            Stage::UnderWay { channel, aborted: false } => *channel = Some(cut),
            Stage::UnderWay { .. } | Stage::None | Stage::Over | Stage::Stopping => {
                return Err(UpgradeError::Stopping);
            }
        }
        Ok(())
    }

    /// The upgrade has failed, because of `error` or of a stop.
    fn end(&self, error: UpgradeError) -> UpgradeError {
        let mut stage = self.stage();
        match std::mem::take(&mut *stage) {
            Stage::UnderWay { aborted: true, .. } => {
                *stage = Stage::Stopping;
                UpgradeError::Stopping
            }
            Stage::UnderWay { .. } | Stage::None | Stage::Over | Stage::Stopping => error,
        }
    }

    /// The successor for which this daemon drains; returned once.
    pub(super) fn heir(&self) -> Option<SuccessorHandle> {
        self.heir.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn finish(&self, heir: Option<SuccessorHandle>) {
        *self.heir.lock().unwrap_or_else(PoisonError::into_inner) = heir;
        *self.stage() = Stage::Over;
        self.over.cancel();
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Daemon {
    /// Hands over to a new process. Blocks until that serves or fails; after a failure this process
    /// is the daemon as before.
    pub(super) fn upgrade(&self) -> Result<UpgradeResult, UpgradeError> {
        if std::process::id() == 1 {
            return Err(UpgradeError::First);
        }
        self.handover.may_change().map_err(|UpgradeInProgress| UpgradeError::UnderWay)?;
        // A refresh that is under way finishes and stores its list first, so that the successor
        // finds it.
        let _refreshing = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let _turn = self.applying();
            self.handover.begin()?;
        }
        // Waits for a check of the interfaces that began before.
        drop(self.firewall.as_ref().map(|firewall| firewall.lock()));
        self.keep_for_the_next();
        tracing::info!(program = %self.again.program.display(), "upgrading: starting a process");
        let mut touched = false;
        match self.hand_over(&mut touched) {
            Ok((upgraded, heir)) => {
                let UpgradeResult { from, to, draining, .. } = &upgraded;
                tracing::info!(
                    from = from.version,
                    to = to.version,
                    pid = to.pid,
                    draining,
                    "upgraded: the new process serves"
                );
                self.lingerers.forget();
                self.handover.finish(heir);
                self.leave_locks();
                Ok(upgraded)
            }
            Err(error) => {
                let regained = if touched { self.regain() } else { Ok(()) };
                let error = match regained {
                    Ok(()) => error,
                    Err(other) => UpgradeError::NotRegained { why: error.into(), error: other },
                };
                let error = self.handover.end(error);
                tracing::error!("not upgraded: {error}");
                Err(error)
            }
        }
    }

    fn hand_over(
        &self,
        touched: &mut bool,
    ) -> Result<(UpgradeResult, Option<SuccessorHandle>), UpgradeError> {
        let lock = |firewall| Mutex::lock(firewall).unwrap_or_else(PoisonError::into_inner);
        let pins = self.firewall.as_ref().map(|firewall| lock(firewall).lock());
        let pins = pins.transpose()?.flatten();
        let mut successor = Successor::start(&self.again)?;
        self.handover.cut_by(successor.channel()?)?;
        self.lingerers.hand_over(|lingering, channels| {
            let (lock, sockets) = (self.lock(), self.sockets());
            let mut files: Vec<BorrowedFd<'_>> = lock.iter().map(AsFd::as_fd).collect();
            files.extend(pins.as_ref().map(AsFd::as_fd));
            files.extend(channels);
            files.extend(sockets.iter().map(AsFd::as_fd));
            successor.endow(pins.is_some(), lingering, &files)
        })?;
        let (version, source) = successor.served(|| *touched = true)?;
        let (drain, linger) = (self.facts.shutdown(), self.facts.linger());
        // A successor with another configuration may trust less, so the old one must not drain
        // long.
        let lingers = linger > drain && source == self.digest();
        let patience = if lingers { linger } else { drain };
        let upgraded = UpgradeResult {
            from: Release {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
            },
            to: Release { version, pid: successor.pid() },
            draining: self.link.as_ref().and_then(|it| it.report().ok()).map_or(0, |it| it.open),
            deadline_seconds: patience.as_secs(),
        };
        // Before this, the service manager ignores notifications of the successor.
        service_manager::main_process(successor.pid());
        let lingering = lingers.then(|| Lingering {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            until: Timestamp::now().saturating_add(patience).unwrap_or(Timestamp::MAX),
        });
        let channel = successor
            .leave(lingering)
            .inspect_err(|_| service_manager::main_process(std::process::id()))?;
        Ok((upgraded, lingers.then_some(SuccessorHandle { channel, patience })))
    }

    /// Releases the locks, so that a third daemon can start if the successor ends before this one.
    fn leave_locks(&self) {
        self.lock().take();
        let firewall = self.firewall.as_ref();
        let firewall = firewall.map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
        firewall.iter().for_each(|firewall| firewall.leave());
    }

    fn keep_for_the_next(&self) {
        let kept = self.identities().map_err(|error| error.to_string()).and_then(|identities| {
            let saved = identity_store::save(&self.fixed.paths.state, &identities);
            saved.map_err(|error| error.to_string())
        });
        if let Err(error) = kept {
            tracing::warn!("the client certificates seen within the last minute are lost: {error}");
        }
    }

    /// Restores this daemon's firewall policy after the successor has failed.
    fn regain(&self) -> Result<(), DaemonError> {
        let _turn = self.applying();
        let Some(firewall) = &self.firewall else {
            return start::retire_leftovers(&self.fixed.paths.pins);
        };
        let policy = {
            let in_force = self.in_force();
            reload::policy(&in_force.admission, &in_force.live, &in_force.modes())
        };
        Ok(firewall.lock().unwrap_or_else(PoisonError::into_inner).regain(&policy)?)
    }
}
