//! Reports this host to its fleet: at once when the policy changes, at most once a second, and
//! every ten seconds. Only the thread of this file waits for etcd.
//!
//! Without etcd there is a warning in the status, and nothing else.

mod instance;
mod session;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aop_api::{FleetLink, FleetLinkState};
use aop_config::FleetConfig;
use aop_fleet::{FleetError, Pacing, PublishOutcome, own_name};
use aop_tls::FileExpiry;
use aop_types::unix_seconds;
use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use self::session::{FleetSession, SessionError};
use super::Daemon;

/// The link to the fleet.
#[derive(Default)]
pub(crate) struct FleetReporter {
    shared: Mutex<Shared>,
    woken: Condvar,
}

#[derive(Default)]
struct Shared {
    link: Option<FleetLink>,
    /// The certificates in use, with their ends.
    expiries: Vec<FileExpiry>,
    /// Counts changes of the policy.
    changes: u64,
    stopped: bool,
}

/// When the next report is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// After a change, or after this time; a change waits for [`Pacing::SPACING`].
    UntilChange(Duration),
    /// After this time: etcd is away.
    Fixed(Duration),
    /// After a change: there is no fleet.
    Change,
}

impl FleetReporter {
    /// The link, for the status.
    pub(crate) fn link(&self) -> Option<FleetLink> {
        self.shared.lock().link.clone()
    }

    /// The certificates in use, with their ends.
    pub(crate) fn expiries(&self) -> Vec<FileExpiry> {
        self.shared.lock().expiries.clone()
    }

    /// Notes the certificates that are used from now on.
    fn use_files(&self, expiries: Vec<FileExpiry>) {
        for warning in expiries.iter().filter_map(|it| it.warning(unix_seconds())) {
            tracing::warn!("{warning}");
        }
        self.shared.lock().expiries = expiries;
    }

    /// The policy has changed.
    pub(crate) fn report_soon(&self) {
        self.shared.lock().changes += 1;
        self.woken.notify_all();
    }

    fn stop(&self) {
        self.shared.lock().stopped = true;
        self.woken.notify_all();
    }

    fn changes(&self) -> u64 {
        self.shared.lock().changes
    }

    /// Waits. `seen` are the changes that the last report covers. `false`: stopped.
    fn wait(&self, pause: Pause, seen: u64) -> bool {
        let began = Instant::now();
        let mut shared = self.shared.lock();
        loop {
            let changed = shared.changes != seen;
            let until = match pause {
                Pause::UntilChange(_) if changed => Some(Pacing::SPACING),
                Pause::UntilChange(time) | Pause::Fixed(time) => Some(time),
                Pause::Change if changed => Some(Duration::ZERO),
                Pause::Change => None,
            };
            if shared.stopped {
                return false;
            }
            match until.map(|until| until.saturating_sub(began.elapsed())) {
                Some(Duration::ZERO) => return true,
                Some(left) => {
                    self.woken.wait_for(&mut shared, left);
                }
                None => self.woken.wait(&mut shared),
            }
        }
    }

    /// Notes the result of an attempt, and logs it where the state of the link is another one.
    fn note(&self, config: &FleetConfig, result: &Result<PublishOutcome, SessionError>) {
        let (state, error, bytes) = match result {
            Ok(PublishOutcome::Taken { bytes, warning, .. }) => {
                (FleetLinkState::Reporting, warning.clone(), Some(*bytes))
            }
            Ok(PublishOutcome::NameTaken(why)) => {
                (FleetLinkState::NameTaken, Some(why.clone()), None)
            }
            Err(error) => (FleetLinkState::Failing, Some(error.to_string()), None),
        };
        let mut shared = self.shared.lock();
        let before = shared.link.take();
        let is_new = before.as_ref().is_none_or(|link| link.state != state);
        match (&error, bytes) {
            (None, _) if is_new => tracing::info!("the fleet sees this host"),
            (Some(why), None) if is_new => {
                tracing::warn!("the fleet does not see this host: {why}");
            }
            (_, _) => {}
        }
        let mut link = before.unwrap_or_else(FleetLink::starting);
        link.name = own_name(config).map(String::from).unwrap_or_default();
        link.prefix = config.prefix.to_string();
        (link.state, link.error) = (state, error);
        match bytes {
            Some(bytes) => {
                link.reported_at = Some(Timestamp::now());
                link.report_bytes = bytes;
                link.reports += 1;
            }
            None => link.failures += 1,
        }
        shared.link = Some(link);
    }
}

impl Daemon {
    /// Runs until `stop`, or until a successor is the daemon. A report that is under way then is
    /// not waited for.
    pub(super) async fn report_to_fleet(self: Arc<Self>, stop: CancellationToken) {
        let daemon = Arc::clone(&self);
        // For as long as this runs, so that the process that the thread starts lives on.
        let reporting = spawn_blocking(move || daemon.keep_reporting());
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.lifecycle.handed_over().cancelled() => {}
            _ = reporting => {}
        }
        self.fleet.stop();
    }

    fn keep_reporting(self: &Arc<Self>) {
        let mut session: Option<FleetSession> = None;
        let mut pacing = Pacing::default();
        loop {
            let changes = self.fleet.changes();
            let config = self.policy.read().live.fleet.clone();
            let pause = match config {
                None => {
                    session = None;
                    let mut shared = self.fleet.shared.lock();
                    (shared.link, shared.expiries) = (None, Vec::new());
                    Pause::Change
                }
                Some(config) => {
                    let begun = Instant::now();
                    let result = self.report_once(&mut session, &config, changes);
                    self.fleet.note(&config, &result);
                    pause_after(&result, begun.elapsed(), &mut pacing)
                }
            };
            if !self.fleet.wait(pause, changes) {
                return;
            }
        }
    }
}

/// The pause after an attempt that took so long.
fn pause_after(
    result: &Result<PublishOutcome, SessionError>,
    took: Duration,
    pacing: &mut Pacing,
) -> Pause {
    match result {
        Ok(_) | Err(SessionError::Here(_)) => Pause::UntilChange(pacing.after_report()),
        Err(SessionError::Fleet(FleetError::Refused(_) | FleetError::Etcd(_))) => {
            Pause::Fixed(pacing.after_refusal(took))
        }
        Err(SessionError::Fleet(FleetError::Launch(_) | FleetError::Broken(_))) => {
            Pause::Fixed(pacing.after_break())
        }
    }
}

#[cfg(test)]
mod tests;
