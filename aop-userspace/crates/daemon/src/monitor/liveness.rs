//! Whether the daemon's main loop, which handles signals, still runs.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long one round may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the main loop.
pub(crate) struct LivenessProbe(mpsc::Sender<oneshot::Sender<()>>);

/// Answers in the main loop.
pub(crate) struct LivenessResponder(mpsc::Receiver<oneshot::Sender<()>>);

/// Both ends.
pub(crate) fn liveness() -> (LivenessProbe, LivenessResponder) {
    let (probe, responder) = mpsc::channel(1);
    (LivenessProbe(probe), LivenessResponder(responder))
}

impl LivenessProbe {
    /// Whether the main loop answers in time.
    pub(super) async fn is_answered(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.0.send(answer).await.ok()?;
            answered.await.ok()
        };
        matches!(timeout(PATIENCE, asking).await, Ok(Some(())))
    }
}

impl LivenessResponder {
    /// Answers for ever.
    pub(crate) async fn answer(&mut self) -> Infallible {
        while let Some(asker) = self.0.recv().await {
            // The asker may have stopped waiting.
            asker.send(()).ok();
        }
        pending().await
    }
}
