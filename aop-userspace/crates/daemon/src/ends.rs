//! What was said for a time, and ends by itself, or lasts once enough pulls have come.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    error::{OpenError, SwitchError},
};

/// How often the clocks are looked at: the wall clock may be set, so no sleep is the right one.
const LOOK: Duration = Duration::from_secs(1);

impl Daemon {
    /// Until `stop`. What cannot be ended is tried again, and told where the reason is a new one.
    pub(super) async fn end_in_time(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
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
            // Writes maps and files, and waits for the terminator.
            let ended = tokio::task::spawn_blocking(move || daemon.end_what_is_over()).await;
            let error = ended.unwrap_or_else(|error| Some(error.to_string()));
            if let Some(error) = error.as_ref().filter(|error| told.as_ref() != Some(*error)) {
                tracing::error!("what is over cannot be ended yet: {error}");
            }
            told = error;
        }
    }

    /// Why it could not. While another daemon takes over that is no error: it does so, or this one
    /// when that has failed.
    fn end_what_is_over(&self) -> Option<String> {
        let closed = match self.end_openings() {
            Ok(()) | Err(OpenError::HandingOver(_) | OpenError::Stopping) => None,
            Err(error) => Some(error.to_string()),
        };
        let taken_back = match self.take_back() {
            Ok(()) | Err(SwitchError::HandingOver(_) | SwitchError::Stopping) => None,
            Err(error) => Some(error.to_string()),
        };
        let counted = match self.count_pulls() {
            Ok(()) | Err(SwitchError::HandingOver(_) | SwitchError::Stopping) => None,
            Err(error) => Some(error.to_string()),
        };
        closed.or(taken_back).or(counted)
    }
}
