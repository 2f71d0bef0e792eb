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
    Daemon, DaemonError, ShutdownOutcome, SignalRequest, Signals,
    service_manager::Watchdog,
    terminator_handle::{PendingDrain, TerminatorError},
    upgrade::SuccessorHandle,
};
use crate::upgrade::messages::{PredecessorMessage, SuccessorMessage};

impl Daemon {
    /// Stops accepting, and lets open connections finish until the deadline or a second stop. A
    /// reload is refused meanwhile. With a `successor` (after an upgrade) the deadline is
    /// the longer one of the upgrade, until the successor closes the channel.
    pub(super) async fn drain(
        self: &Arc<Self>,
        signals: &mut Signals,
        watchdog: &mut Watchdog,
        successor: Option<SuccessorHandle>,
    ) -> Result<ShutdownOutcome, DaemonError> {
        self.lifecycle.drain();
        self.handover.predecessors.drop_all();
        self.handover.close_listeners();
        let deadline = self.policy.read().live.shutdown;
        let patience = successor.as_ref().map_or(deadline, |it| it.patience);
        match &successor {
            Some(_) => tracing::info!(
                pid = std::process::id(),
                deadline = ?patience,
                "open connections continue here until the new process reloads or stops"
            ),
            None => tracing::info!(?deadline, "draining: no new connection is accepted"),
        }
        // A service manager signals all processes of the unit, so the first stop after a handover
        // may be the same stop that the successor gets.
        let mut spared = self.lifecycle.is_handed_over();
        let mut successor = successor.map(|it| self.answer_successor(it.channel));
        let end = Instant::now() + patience;
        let soon = || deadline.min(end.saturating_duration_since(Instant::now()));
        let mut drained = self.start_drain(patience);
        loop {
            tokio::select! {
                () = watchdog.tick() => {}
                () = successor_gone(&mut successor) => {
                    let deadline = soon();
                    tracing::info!(?deadline, "the new process has closed the channel: draining");
                    drained = self.start_drain(deadline);
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
                request = signals.next() => match request {
                    SignalRequest::Reload => {
                        tracing::warn!(
                            file = %self.reloads.file().display(),
                            "not reloaded: aop is stopping"
                        );
                    }
                    SignalRequest::Stop if spared => {
                        spared = false;
                        if successor.take().is_some() {
                            let deadline = soon();
                            tracing::info!(
                                ?deadline,
                                "stop requested after the handover: draining"
                            );
                            drained = self.start_drain(deadline);
                        }
                    }
                    SignalRequest::Stop => {
                        tracing::warn!("stop requested again: open connections are closed now");
                        drained = self.start_drain(Duration::ZERO);
                    }
                },
            }
        }
    }

    /// Makes the terminator drain. If it drains already, this replaces its deadline.
    fn start_drain(&self, patience: Duration) -> JoinHandle<Result<usize, TerminatorError>> {
        let drain = self.terminator.as_ref().map(|it| it.drain(patience));
        // On a blocking thread: it waits until the deadline.
        spawn_blocking(move || drain.map_or(Ok(0), PendingDrain::wait))
    }

    /// Answers the new daemon until it closes the channel.
    fn answer_successor(self: &Arc<Self>, channel: UnixStream) -> JoinHandle<()> {
        let daemon = Arc::clone(self);
        spawn_blocking(move || {
            // An error below means the same as the end of the stream: the new daemon is gone.
            channel.set_read_timeout(None).ok();
            while let Ok(Some(SuccessorMessage::CountConnections)) = channel::receive(&channel) {
                let Some(Ok(report)) = daemon.terminator.as_ref().map(|it| it.report()) else {
                    continue;
                };
                let sent = Message::new(&PredecessorMessage::Connections(report.open));
                if sent.and_then(|it| Ok(channel::send(&channel, &it, &[])?)).is_err() {
                    return;
                }
            }
        })
    }
}

/// Waits until the successor has closed the channel; without one, for ever.
async fn successor_gone(answering: &mut Option<JoinHandle<()>>) {
    match answering {
        Some(task) => {
            // In every case the successor is gone.
            task.await.ok();
            *answering = None;
        }
        None => pending().await,
    }
}
