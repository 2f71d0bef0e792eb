//! Deadlines: reverts mode overrides and closes openings that have expired, and confirms overrides
//! once enough authenticated pulls were made.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    error::{OpenError, SetModeError},
};

/// How often the deadlines are checked. A single long sleep would be wrong after a change of the
/// wall clock.
const LOOK: Duration = Duration::from_secs(1);

impl Daemon {
    /// Runs until `stop`. What fails is tried again; each new cause is logged once.
    pub(super) async fn end_in_time(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut logged = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let now = (Timestamp::now(), Instant::now());
            let waits = self.in_force().spoken.counts().is_some();
            if !waits && !self.in_force().spoken.is_over() && self.openings().over(now).is_empty() {
                continue;
            }
            let daemon = Arc::clone(&self);
            // On a blocking thread: it writes maps and files, and waits for the terminator.
            let ended = tokio::task::spawn_blocking(move || daemon.end_what_is_over()).await;
            let error = ended.unwrap_or_else(|error| Some(error.to_string()));
            if let Some(error) = error.as_ref().filter(|error| logged.as_ref() != Some(*error)) {
                tracing::error!("cannot revert or close what has expired, trying again: {error}");
            }
            logged = error;
        }
    }

    /// The first error. A handover that is under way is no error: the new daemon applies the
    /// deadlines, or this one does once the handover has failed.
    fn end_what_is_over(&self) -> Option<String> {
        let openings = match self.end_openings() {
            Ok(()) | Err(OpenError::HandingOver(_) | OpenError::Stopping) => None,
            Err(error) => Some(error.to_string()),
        };
        let overrides = match self.take_back() {
            Ok(()) | Err(SetModeError::HandingOver(_) | SetModeError::Stopping) => None,
            Err(error) => Some(error.to_string()),
        };
        let pulls = match self.count_pulls() {
            Ok(()) | Err(SetModeError::HandingOver(_) | SetModeError::Stopping) => None,
            Err(error) => Some(error.to_string()),
        };
        openings.or(overrides).or(pulls)
    }
}
