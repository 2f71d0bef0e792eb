//! What was said for a time, and ends by itself.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Daemon, error::SwitchError};

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
            if !self.in_force().spoken.is_over() {
                continue;
            }
            let daemon = Arc::clone(&self);
            // Writes maps and a file, and waits for the terminator.
            let ended = tokio::task::spawn_blocking(move || daemon.take_back()).await;
            let error = match ended {
                // The next daemon does it, or this one when that has failed.
                Ok(Ok(()) | Err(SwitchError::HandingOver(_) | SwitchError::Stopping)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = error.as_ref().filter(|error| told.as_ref() != Some(*error)) {
                tracing::error!("what was not confirmed cannot be taken back yet: {error}");
            }
            told = error;
        }
    }
}
