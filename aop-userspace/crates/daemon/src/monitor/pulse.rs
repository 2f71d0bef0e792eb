//! Whether the daemon's own loop, which signals come to, still goes round.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the loop.
pub(crate) struct Pulse(mpsc::Sender<oneshot::Sender<()>>);

/// Where the loop is asked.
pub(crate) struct Beats(mpsc::Receiver<oneshot::Sender<()>>);

/// Both ends.
pub(crate) fn pulse() -> (Pulse, Beats) {
    let (asking, asked) = mpsc::channel(1);
    (Pulse(asking), Beats(asked))
}

impl Pulse {
    /// Whether it answers in time.
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
    /// Answers whoever asks, for ever.
    pub(crate) async fn answer(&mut self) -> Infallible {
        while let Some(asker) = self.0.recv().await {
            // Who asked may have lost patience.
            asker.send(()).ok();
        }
        pending().await
    }
}
