//! The end: nothing new is accepted, and what is open ends by itself, or is cut in time.
//!
//! After an upgrade that time is longer, for as long as the new daemon keeps the channel open.

use std::{future::pending, os::unix::net::UnixStream, sync::Arc, time::Duration};

use aop_sandbox::channel::{self, Message};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{
    Asked, Daemon, DaemonError, Ended, Signals,
    link::{Draining, LinkError},
    manager::Heart,
    upgrade::Heir,
};
use crate::upgrade::messages::{New, Old};

impl Daemon {
    /// Stops accepting at once and lets open connections end, until told to stop once more. A reload
    /// asked for meanwhile is declined, since there is nobody left to serve. Where an `heir` is there
    /// it lingers first.
    pub(super) async fn drain(
        self: &Arc<Self>,
        signals: &mut Signals,
        heart: &mut Heart,
        heir: Option<Heir>,
    ) -> Result<Ended, DaemonError> {
        self.reloads.leave();
        self.lingerers.let_go();
        self.sockets().clear();
        let deadline = self.facts.shutdown();
        let patience = heir.as_ref().map_or(deadline, |heir| heir.patience);
        match &heir {
            Some(_) => tracing::info!(
                pid = std::process::id(),
                deadline = ?patience,
                "lingering: what is open here goes on, until the new process reloads or stops"
            ),
            None => tracing::info!(?deadline, "draining: no new connection is accepted"),
        }
        // A service manager that stops tells all processes, and this one may know it already.
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
                    tracing::info!(?deadline, "lingering is over: draining");
                    drained = self.drained(deadline);
                }
                drained = &mut drained => {
                    let drained = drained.map_err(|error| DaemonError::Runtime(error.into()))?;
                    return Ok(match drained? {
                        0 => {
                            tracing::info!("drained; the firewall stays attached");
                            Ended::Drained
                        }
                        connections => {
                            tracing::warn!(
                                connections,
                                "connections that had not ended by themselves were cut"
                            );
                            Ended::Cut(connections)
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
                            tracing::info!(?deadline, "told to stop while lingering: draining");
                            drained = self.drained(deadline);
                        }
                    }
                    Asked::Stop => {
                        tracing::warn!("told to stop once more: open connections are cut now");
                        drained = self.drained(Duration::ZERO);
                    }
                },
            }
        }
    }

    /// Has the terminator drain. One that drains already does so with this patience from then on.
    fn drained(&self, patience: Duration) -> JoinHandle<Result<usize, LinkError>> {
        let draining = self.link.as_ref().map(|link| link.drain(patience));
        // Blocks until the deadline at the latest.
        spawn_blocking(move || draining.map_or(Ok(0), Draining::wait))
    }

    /// Answers the new daemon until that lets go.
    fn attend_to(self: &Arc<Self>, channel: UnixStream) -> JoinHandle<()> {
        let daemon = Arc::clone(self);
        spawn_blocking(move || {
            // Any error is the end, as the far end's end is.
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

/// Waits until the new daemon has let go, where there is one.
async fn gone(heir: &mut Option<JoinHandle<()>>) {
    match heir {
        Some(there) => {
            // However it ended, nobody is there any more.
            there.await.ok();
            *heir = None;
        }
        None => pending().await,
    }
}
