//! Helpers of the background tasks: a loop with a period, and an error that is not repeated.

use std::time::Duration;

use tokio::{
    task::{JoinError, spawn_blocking},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// Runs `job` on a blocking thread at once and then every `period`, until `stop`, and passes each
/// result to `done`. A run that is under way at `stop` is not waited for.
pub(crate) async fn run_every<T: Send + 'static>(
    stop: &CancellationToken,
    period: Duration,
    job: impl FnOnce() -> T + Clone + Send + 'static,
    mut done: impl FnMut(Result<T, JoinError>),
) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match run(stop, job.clone()).await {
            Some(result) => done(result),
            None => return,
        }
    }
}

/// Runs `job` on a blocking thread. `None`: `stop` came first, and the job is not waited for.
pub(crate) async fn run<T: Send + 'static>(
    stop: &CancellationToken,
    job: impl FnOnce() -> T + Send + 'static,
) -> Option<Result<T, JoinError>> {
    tokio::select! {
        () = stop.cancelled() => None,
        result = spawn_blocking(job) => Some(result),
    }
}

/// The last error of something that is tried again and again.
#[derive(Debug, Default)]
pub(crate) struct LastError(Option<String>);

impl LastError {
    /// Replaces it. Returns `error` where it differs from the one before, so that it is logged
    /// once.
    pub(crate) fn replace(&mut self, error: Option<String>) -> Option<&str> {
        let is_new = error != self.0;
        self.0 = error;
        self.0.as_deref().filter(|_| is_new)
    }

    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}
