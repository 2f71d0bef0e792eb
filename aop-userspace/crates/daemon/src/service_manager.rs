//! Notifications to the service manager (sd_notify(3)), and its watchdog.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The daemon has started, or has finished a reload, successful or not: `status` says which.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins. [`ready`] must follow.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("no clock: {error}"),
    }
}

/// The daemon stops.
pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// From now on another process is the main process of the service.
pub(super) fn main_process(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::warn!("cannot notify the service manager ({news:?}): {error}");
    }
}

/// Pings the watchdog as long as somebody polls [`Watchdog::tick`].
pub(super) struct Watchdog(Option<Interval>);

impl Watchdog {
    /// Pings twice in the interval that the service manager allows; never where it has no watchdog.
    pub(super) fn begin() -> Self {
        let allowed = sd_notify::watchdog_enabled().filter(|allowed| *allowed > Duration::ZERO);
        Self(allowed.map(|allowed| {
            let mut beats = interval(allowed / 2);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        }))
    }

    /// Never pings: another process is the main process.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Waits for the next tick and pings. Cancel-safe.
    pub(super) async fn tick(&mut self) {
        match &mut self.0 {
            Some(beats) => {
                beats.tick().await;
                tell(&[NotifyState::Watchdog]);
            }
            None => std::future::pending().await,
        }
    }
}
