//! Shutdown: the daemon accepts nothing new; open connections may finish until a deadline, and are
//! closed then. After an upgrade the old daemon drains for longer, as long as its successor keeps
//! the channel open.

use std::{future::pending, os::unix::net::UnixStream, sync::Arc, time::Duration};

use aop_sandbox::channel::{self, Message};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{
    Asked, Daemon, DaemonError, ShutdownOutcome, Signals,
    service_manager::Heart,
    terminator_handle::{Draining, TerminatorError},
    upgrade::SuccessorHandle,
};
use crate::upgrade::messages::{New, Old};

impl Daemon {
    /// Stops accepting, and lets open connections finish until the deadline or a second stop. A
    /// reload is refused meanwhile. With an `heir` (the successor after an upgrade) the deadline is
    /// the longer one of the upgrade, until the successor closes the channel.
    pub(super) async fn drain(
        self: &Arc<Self>,
        signals: &mut Signals,
        heart: &mut Heart,
        heir: Option<SuccessorHandle>,
    ) -> Result<ShutdownOutcome, DaemonError> {
        self.reloads.leave();
        self.lingerers.let_go();
        self.sockets().clear();
        let deadline = self.facts.shutdown();
        let patience = heir.as_ref().map_or(deadline, |heir| heir.patience);
        match &heir {
            Some(_) => tracing::info!(
                pid = std::process::id(),
                deadline = ?patience,
                "open connections continue here until the new process reloads or stops"
            ),
            None => tracing::info!(?deadline, "draining: no new connection is accepted"),
        }
        // A service manager signals all processes of the unit, so the first stop after a handover
        // may be the same stop that the successor gets.
        let mut spared = self.handover.is_over();
        let mut heir = heir.map(|heir| self.attend_to(heir.channel));
        let end = Instant::now() + patience;
        let soon = || deadline.min(end.saturating_duration_since(Instant::now()));
        let mut drained = self.drained(patience);
        loop {
            tokio::select! {
                () = heart.beat() => {}
                () = gone(&mut heir) => {
                    let deadline = soon();
                    tracing::info!(?deadline, "the new process has closed the channel: draining");
                    drained = self.drained(deadline);
                }
                drained = &mut drained => {
                    let drained = drained.map_err(|error| DaemonError::Runtime(error.into()))?;
                    return Ok(match drained? {
                        0 => {
                            tracing::info!("drained; the firewall stays attached");
                            ShutdownOutcome::Drained
                        }
                        connections => {
                            tracing::warn!(
                                connections,
                                "the deadline has passed: open connections were closed"
                            );
                            ShutdownOutcome::Cut(connections)
                        }
                    });
                }
                asked = signals.next() => match asked {
                    Asked::Reload => {
                        tracing::warn!(
                            file = %self.reloads.file().display(),
                            "not reloaded: aop is stopping"
                        );
                    }
                    Asked::Stop if spared => {
                        spared = false;
                        if heir.take().is_some() {
                            let deadline = soon();
                            tracing::info!(?deadline, "stop requested after the handover: draining");
                            drained = self.drained(deadline);
                        }
                    }
                    Asked::Stop => {
                        tracing::warn!("stop requested again: open connections are closed now");
                        drained = self.drained(Duration::ZERO);
                    }
                },
            }
        }
    }

    /// Makes the terminator drain. If it drains already, this replaces its deadline.
    fn drained(&self, patience: Duration) -> JoinHandle<Result<usize, TerminatorError>> {
        let draining = self.link.as_ref().map(|link| link.drain(patience));
        // On a blocking thread: it waits until the deadline.
        spawn_blocking(move || draining.map_or(Ok(0), Draining::wait))
    }

    /// Answers the new daemon until it closes the channel.
    fn attend_to(self: &Arc<Self>, channel: UnixStream) -> JoinHandle<()> {
        let daemon = Arc::clone(self);
        spawn_blocking(move || {
            // An error below means the same as the end of the stream: the new daemon is gone.
            channel.set_read_timeout(None).ok();
            while let Ok(Some(New::HowMany)) = channel::receive(&channel) {
                let Some(Ok(report)) = daemon.link.as_ref().map(|link| link.report()) else {
                    continue;
                };
                let said = Message::of(&Old::Open(report.open));
                if said.and_then(|it| Ok(channel::send(&channel, &it, &[])?)).is_err() {
                    return;
                }
            }
        })
    }
}

/// Waits until the successor has closed the channel; without one, for ever.
async fn gone(heir: &mut Option<JoinHandle<()>>) {
    match heir {
        Some(there) => {
            // In every case the successor is gone.
            there.await.ok();
            *heir = None;
        }
        None => pending().await,
    }
}
