//! The signals that the daemon handles.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::monitor::LivenessResponder;

/// The request of a signal.
pub(super) enum SignalRequest {
    Reload,
    Stop,
}

/// The handlers of signals.
pub(super) struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Answers while the loop waits for signals.
    liveness: LivenessResponder,
}

impl Signals {
    pub(super) fn install(liveness: LivenessResponder) -> io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            liveness,
        })
    }

    pub(super) async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            _ = self.reload.recv() => SignalRequest::Reload,
            _ = self.terminate.recv() => SignalRequest::Stop,
            _ = self.interrupt.recv() => SignalRequest::Stop,
            never = self.liveness.answer() => match never {},
        }
    }
}
