//! What the service manager is told, where it asks to be (sd_notify(3)), and the watchdog.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Started, or done with a reload, however that went: `status` tells.
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

/// The end has begun.
pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Another process is the daemon from now on, and the service manager listens to that one.
pub(super) fn main_process(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::warn!("the service manager cannot be told {news:?}: {error}");
    }
}

/// Tells the watchdog that this process lives, as long as somebody waits for [`Heart::beat`].
pub(super) struct Heart(Option<Interval>);

impl Heart {
    /// Beats twice in the time that the service manager allows between two signs of life; never where
    /// it wants none.
    pub(super) fn begin() -> Self {
        let allowed = sd_notify::watchdog_enabled().filter(|allowed| *allowed > Duration::ZERO);
        Self(allowed.map(|allowed| {
            let mut beats = interval(allowed / 2);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        }))
    }

    /// It never beats: another process is the one that is listened to.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Waits for the time, and tells. Nothing is lost where it is not waited for to the end.
    pub(super) async fn beat(&mut self) {
        match &mut self.0 {
            Some(beats) => {
                beats.tick().await;
                tell(&[NotifyState::Watchdog]);
            }
            None => std::future::pending().await,
        }
    }
}
