//! Where the daemon stands: serving, upgrading, replaced, draining or closed. From this follows
//! whether it may change what is in force, and whether it may load a configuration.

use std::{net::Shutdown, os::unix::net::UnixStream};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::upgrade::UpgradeError;

/// Why nothing may be changed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// A successor starts, or has taken over.
    #[error(
        "aop is being upgraded and accepts no changes until that is finished: try again in a few \
         seconds"
    )]
    Upgrading,
    /// The daemon stops.
    #[error("aop is stopping and accepts no changes any more")]
    Stopping,
}

/// The stage of one daemon.
#[derive(Default)]
pub(crate) struct Lifecycle {
    stage: Mutex<Stage>,
    handed_over: CancellationToken,
}

#[derive(Default)]
enum Stage {
    #[default]
    Serving,
    /// A successor starts. A stop closes the channel to it.
    Upgrading { channel: Option<UnixStream> },
    /// A successor starts, and a stop has closed the channel to it.
    Aborting,
    /// A successor is the daemon.
    HandedOver,
    /// This daemon drains without a successor. Modes and openings may still change: the firewall
    /// stays attached.
    Draining,
    /// The drain is over: the next daemon may start.
    Closed,
}

impl Lifecycle {
    /// Whether this daemon may change what is in force, on the host and on disk. Within a turn the
    /// answer stays valid until the end of the turn.
    pub(crate) fn may_change(&self) -> Result<(), NotNow> {
        match *self.stage.lock() {
            Stage::Serving | Stage::Draining => Ok(()),
            Stage::Upgrading { .. } | Stage::Aborting | Stage::HandedOver => Err(NotNow::Upgrading),
            Stage::Closed => Err(NotNow::Stopping),
        }
    }

    /// Whether this daemon may load a configuration or files of sites.
    pub(crate) fn may_load(&self) -> Result<(), NotNow> {
        match self.is_draining() {
            true => Err(NotNow::Stopping),
            false => self.may_change(),
        }
    }

    /// Whether this daemon drains without a successor.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Aborting | Stage::Draining | Stage::Closed)
    }

    /// Whether another process is, or becomes, the daemon: it stores the state files.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.may_change() == Err(NotNow::Upgrading)
    }

    /// Whether a successor is the daemon.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.handed_over.is_cancelled()
    }

    /// Is cancelled when a successor becomes the daemon.
    pub(crate) fn handed_over(&self) -> &CancellationToken {
        &self.handed_over
    }

    /// This daemon stops: no successor may take over, and an upgrade that is under way is aborted.
    pub(crate) fn drain(&self) {
        let mut stage = self.stage.lock();
        match &*stage {
            Stage::Serving => *stage = Stage::Draining,
            Stage::Upgrading { channel } => {
                // An error means that the successor is gone already.
                channel.as_ref().and_then(|channel| channel.shutdown(Shutdown::Both).ok());
                *stage = Stage::Aborting;
            }
            Stage::Aborting | Stage::HandedOver | Stage::Draining | Stage::Closed => {}
        }
    }

    /// Nothing may change any more. Call it within the turn.
    pub(super) fn close(&self) {
        let mut stage = self.stage.lock();
        if !matches!(*stage, Stage::HandedOver) {
            *stage = Stage::Closed;
        }
    }

    /// An upgrade begins. Call it within the turn.
    pub(super) fn begin_upgrade(&self) -> Result<(), UpgradeError> {
        let mut stage = self.stage.lock();
        match *stage {
            Stage::Serving => *stage = Stage::Upgrading { channel: None },
            Stage::Upgrading { .. } | Stage::Aborting | Stage::HandedOver => {
                return Err(UpgradeError::UnderWay);
            }
            Stage::Draining | Stage::Closed => return Err(UpgradeError::Stopping),
        }
        Ok(())
    }

    /// Registers the channel that a stop closes. Fails if a stop came before.
    pub(super) fn close_on_stop(&self, successor: UnixStream) -> Result<(), UpgradeError> {
        match &mut *self.stage.lock() {
            Stage::Upgrading { channel } => *channel = Some(successor),
            Stage::Serving
            | Stage::Aborting
            | Stage::HandedOver
            | Stage::Draining
            | Stage::Closed => return Err(UpgradeError::Stopping),
        }
        Ok(())
    }

    /// The upgrade has failed, because of `error` or of a stop.
    pub(super) fn upgrade_failed(&self, error: UpgradeError) -> UpgradeError {
        let mut stage = self.stage.lock();
        match *stage {
            Stage::Upgrading { .. } => *stage = Stage::Serving,
            Stage::Aborting => *stage = Stage::Draining,
            Stage::Closed => {}
            Stage::Serving | Stage::HandedOver | Stage::Draining => return error,
        }
        match *stage {
            Stage::Serving => error,
            Stage::Upgrading { .. }
            | Stage::Aborting
            | Stage::HandedOver
            | Stage::Draining
            | Stage::Closed => UpgradeError::Stopping,
        }
    }

    /// The successor is the daemon.
    pub(super) fn hand_over(&self) {
        *self.stage.lock() = Stage::HandedOver;
        self.handed_over.cancel();
    }
}
