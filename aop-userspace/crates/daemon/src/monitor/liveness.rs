//! Whether the daemon's main loop, which handles signals, still runs.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long one round may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The asking end.
pub(crate) struct Pulse(mpsc::Sender<oneshot::Sender<()>>);

/// The end in the main loop.
pub(crate) struct Beats(mpsc::Receiver<oneshot::Sender<()>>);

/// Both ends.
pub(crate) fn pulse() -> (Pulse, Beats) {
    let (asking, asked) = mpsc::channel(1);
    (Pulse(asking), Beats(asked))
}

impl Pulse {
    /// Whether the main loop answers in time.
    pub(super) async fn beats(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.0.send(answer).await.ok()?;
            answered.await.ok()
        };
        matches!(timeout(PATIENCE, asking).await, Ok(Some(())))
    }
}

impl Beats {
    /// Answers for ever.
    pub(crate) async fn answer(&mut self) -> Infallible {
        while let Some(asker) = self.0.recv().await {
            // The asker may have stopped waiting.
            asker.send(()).ok();
        }
        pending().await
    }
}
