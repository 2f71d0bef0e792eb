//! An upgrade: another process takes over from the daemon that runs, and nothing is refused or cut.
//!
//! The daemon starts the program that is at its own path now, and hands it the locks and the listening
//! sockets. That one starts as ever, and both accept from the same queues for a moment. Then this one
//! lingers, or drains. Meanwhile it changes nothing; if the other fails, it takes the packet path back
//! and goes on.

mod again;
mod lingering;
pub(crate) mod messages;
mod predecessor;
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

pub(super) use again::Again;
use aop_api::{Release, Upgraded};
use aop_firewall::FirewallError;
use jiff::Timestamp;
pub(super) use lingering::{Lingerer, Lingerers};
pub(super) use predecessor::TakeOverError;
pub(super) use predecessor::{Estate, Predecessor};
use successor::Successor;
use tokio_util::sync::CancellationToken;

use super::{Daemon, DaemonError, identities, manager, reload, sockets, start};
use crate::upgrade::messages::Lingering;

/// Of any message between two daemons.
const LONGEST: usize = 64 * 1024;

/// How this process came about, and how another one would.
pub struct Beginning {
    pub(super) again: Again,
    pub(super) activated: Vec<(Option<String>, OwnedFd)>,
    pub(super) predecessor: Option<Predecessor>,
}

impl Beginning {
    /// Learns it. To be called once, before there is a second thread: the service manager's sockets
    /// are owned from then on. With `take_over` there is a daemon that hands over.
    ///
    /// # Errors
    /// There is no such daemon, or the system or its variables make no sense.
    pub fn learn(take_over: bool) -> Result<Self, DaemonError> {
        let again = Again::learn().map_err(DaemonError::Runtime)?;
        let activated = sockets::activated()?;
        let predecessor = take_over.then(Predecessor::found).transpose()?;
        Ok(Self { again, activated, predecessor })
    }
}

/// Where this daemon stands between the one before and the one after it.
#[derive(Default)]
pub(super) struct Handover {
    stage: Mutex<Stage>,
    over: CancellationToken,
    heir: Mutex<Option<Heir>>,
}

/// The daemon that has taken over, where this one lingers.
pub(super) struct Heir {
    pub(super) channel: UnixStream,
    /// For how long at most.
    pub(super) patience: Duration,
}

#[derive(Default)]
enum Stage {
    /// It is the daemon.
    #[default]
    None,
    /// Another one starts.
    UnderWay { channel: Option<UnixStream>, aborted: bool },
    /// Another one is the daemon.
    Over,
    /// It ends, and nobody takes over.
    Stopping,
}

/// Why this process stays the daemon.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("an upgrade is under way already; `aop status` tells when it is done")]
    UnderWay,
    #[error("aop is stopping: nobody takes over")]
    Stopping,
    #[error(
        "aop is process 1 here, and all other processes end with that: replace the container instead"
    )]
    First,
    #[error("cannot start {}: {error}; put a program there. {STAYS}", .program.display())]
    Start { program: PathBuf, error: io::Error },
    #[error("{} does not take over: {why}. {STAYS}", .program.display())]
    Failed { program: PathBuf, why: String },
    #[error("{} ended before it served ({how}; the log says more). {STAYS}", .program.display())]
    Died { program: PathBuf, how: String },
    #[error(
        "{} did not say within {patience:?} that it takes over: it hangs, or is no aop. {STAYS}",
        .program.display()
    )]
    Silent { program: PathBuf, patience: Duration },
    #[error("{} did not serve within {patience:?}, and was ended. {STAYS}", .program.display())]
    Late { program: PathBuf, patience: Duration },
    #[error("what is to be handed over cannot be copied: {0}. {STAYS}")]
    Copy(#[from] io::Error),
    #[error("firewall: {0}. {STAYS}")]
    Firewall(#[from] FirewallError),
    #[error("{why} But packets may be judged by the new process's policy: {error}")]
    NotRegained { why: Box<UpgradeError>, error: DaemonError },
}

const STAYS: &str = "The old process serves on.";

/// Why nothing is changed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandingOver;

impl fmt::Display for HandingOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "aop is handing over to a new process, and changes nothing meanwhile: try again",
        )
    }
}

impl std::error::Error for HandingOver {}

impl Handover {
    /// Whether this daemon may change what is in force, on the host and on disk. Whoever has the turn
    /// to apply asks, and may until the end of the turn.
    pub(super) fn may_change(&self) -> Result<(), HandingOver> {
        match *self.stage() {
            Stage::None | Stage::Stopping => Ok(()),
            Stage::UnderWay { .. } | Stage::Over => Err(HandingOver),
        }
    }

    /// Waits until another process is the daemon.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Whether another process is the daemon.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// This daemon ends: nobody takes over any more, and an upgrade that is under way ends too.
    pub(super) fn stop(&self) {
        match &mut *self.stage() {
            Stage::UnderWay { channel, aborted } => {
                *aborted = true;
                // An error means that the far end is gone already.
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

    /// From now on a stop cuts `cut`. One that came before does so now.
    fn cut_by(&self, cut: UnixStream) -> Result<(), UpgradeError> {
        match &mut *self.stage() {
            Stage::UnderWay { channel, aborted: false } => *channel = Some(cut),
            Stage::UnderWay { .. } | Stage::None | Stage::Over | Stage::Stopping => {
                return Err(UpgradeError::Stopping);
            }
        }
        Ok(())
    }

    /// It has failed; because of `error`, or because this daemon stops.
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

    /// Who has taken over, where this one lingers; once.
    pub(super) fn heir(&self) -> Option<Heir> {
        self.heir.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn finish(&self, heir: Option<Heir>) {
        *self.heir.lock().unwrap_or_else(PoisonError::into_inner) = heir;
        *self.stage() = Stage::Over;
        self.over.cancel();
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Daemon {
    /// Has another process take over. Blocks until that serves, or does not; then this one is the
    /// daemon as before.
    pub(super) fn upgrade(&self) -> Result<Upgraded, UpgradeError> {
        if std::process::id() == 1 {
            return Err(UpgradeError::First);
        }
        self.handover.may_change().map_err(|HandingOver| UpgradeError::UnderWay)?;
        // A list that is being taken up is kept on disk first, where the other finds it.
        let _refreshing = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let _turn = self.applying();
            self.handover.begin()?;
        }
        // A look at the host that began before has ended.
        drop(self.firewall.as_ref().map(|firewall| firewall.lock()));
        self.keep_for_the_next();
        tracing::info!(program = %self.again.program.display(), "upgrading: another process starts");
        let mut touched = false;
        match self.hand_over(&mut touched) {
            Ok((upgraded, heir)) => {
                let Upgraded { from, to, draining, .. } = &upgraded;
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

    fn hand_over(&self, touched: &mut bool) -> Result<(Upgraded, Option<Heir>), UpgradeError> {
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
        // Where it serves anything else it may believe less.
        let lingers = linger > drain && source == self.digest();
        let patience = if lingers { linger } else { drain };
        let upgraded = Upgraded {
            from: Release {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
            },
            to: Release { version, pid: successor.pid() },
            draining: self.link.as_ref().and_then(|it| it.report().ok()).map_or(0, |it| it.open),
            deadline_seconds: patience.as_secs(),
        };
        // Until then the service manager does not hear the other.
        manager::main_process(successor.pid());
        let lingering = lingers.then(|| Lingering {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            until: Timestamp::now().saturating_add(patience).unwrap_or(Timestamp::MAX),
        });
        let channel = successor
            .leave(lingering)
            .inspect_err(|_| manager::main_process(std::process::id()))?;
        Ok((upgraded, lingers.then_some(Heir { channel, patience })))
    }

    /// Should the other one end first, a third one can start.
    fn leave_locks(&self) {
        self.lock().take();
        let firewall = self.firewall.as_ref();
        let firewall = firewall.map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
        firewall.iter().for_each(|firewall| firewall.leave());
    }

    fn keep_for_the_next(&self) {
        let kept = self.identities().map_err(|error| error.to_string()).and_then(|identities| {
            let saved = identities::save(&self.fixed.paths.state, &identities);
            saved.map_err(|error| error.to_string())
        });
        if let Err(error) = kept {
            tracing::warn!("the client certificates seen since the last minute are lost: {error}");
        }
    }

    /// Takes the packet path back from a process that has ended.
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
