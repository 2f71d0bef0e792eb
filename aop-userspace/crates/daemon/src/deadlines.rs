//! Deadlines: reverts mode overrides and closes openings that have expired, and confirms overrides
//! once enough authenticated pulls were made.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    background::{self, LastError},
};

/// How often the deadlines are checked. A single long sleep would be wrong after a change of the
/// wall clock.
const PERIOD: Duration = Duration::from_secs(1);

impl Daemon {
    /// Runs until `stop`. What fails is tried again; each new cause is logged once.
    pub(super) async fn watch_deadlines(self: Arc<Self>, stop: CancellationToken) {
        let mut last = LastError::default();
        let job = move || self.apply_deadlines();
        background::run_every(&stop, PERIOD, job, |done| {
            let error = done.unwrap_or_else(|error| Some(error.to_string()));
            if let Some(error) = last.replace(error) {
                tracing::error!("cannot revert or close what has expired, trying again: {error}");
            }
        })
        .await;
    }

    /// The first error. It is none that nothing may change during an upgrade: the new daemon
    /// applies the deadlines, or this one does once the upgrade has failed.
    fn apply_deadlines(&self) -> Option<String> {
        let openings = self.close_expired_openings().err().map(|error| error.to_string());
        let overrides = self.revert_expired_override().err().map(|error| error.to_string());
        let pulls = self.count_pulls().err().map(|error| error.to_string());
        openings.or(overrides).or(pulls)
    }
}
