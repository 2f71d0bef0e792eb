//! Drives hyper's connection to its end: faults, progress timeouts, idle time and shutdown.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use aop_tls::PeerProtocol;
use tokio::time::{Instant, sleep};

use super::{CLOSE_TIMEOUT, HttpConnection};
use crate::{
    http::{
        progress_timeout,
        smuggling_guard::{FramingFault, RequestPart},
    },
    relay::Ending,
};

/// After this idle time, an HTTP/1 connection releases hyper's state, which is most of its memory.
/// The next request costs a microsecond or two more.
const RELEASE_AFTER: Duration = Duration::from_millis(20);

/// Why a connection is no longer driven.
pub(super) enum DriveOutcome {
    /// It is idle for `RELEASE_AFTER`.
    Idle,
    /// It ended by itself.
    Ended(hyper::Result<()>),
    /// The peer sent bytes that aop refuses to parse.
    Faulty(FramingFault),
    /// aop ends it.
    Stopped(Ending),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DriveStage {
    Serving,
    /// The idle time expired, and a graceful shutdown has begun.
    IdleExpired,
    /// The connection drains; only a cut ends it early.
    Draining,
}

impl HttpConnection<'_> {
    /// Polls a connection. A fault that follows open requests takes effect only after the peer has
    /// received their responses.
    fn poll<C>(&self, connection: Pin<&mut C>, context: &mut Context<'_>) -> Poll<DriveOutcome>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        match (connection.poll(context), self.stats.fault()) {
            (Poll::Ready(ended), _) => Poll::Ready(DriveOutcome::Ended(ended)),
            (Poll::Pending, Some((fault, RequestPart::Body))) => {
                Poll::Ready(DriveOutcome::Faulty(fault))
            }
            (Poll::Pending, Some((fault, RequestPart::Head)))
                if !self.handler.is_busy() && !self.stats.is_write_pending() =>
            {
                Poll::Ready(DriveOutcome::Faulty(fault))
            }
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    /// Aborts requests whose progress timeout expired. In HTTP/1 that ends the connection.
    fn abort_stalled(&self) -> Option<Ending> {
        let stalled = self.handler.take_stalled();
        match self.handler.warrant().protocol() {
            PeerProtocol::Http1 => (!stalled.is_empty()).then_some(Ending::Stalled),
            PeerProtocol::Http2 => {
                stalled.into_iter().flatten().for_each(|task| self.streams.abort(task));
                None
            }
        }
    }

    /// Whether an HTTP/1 connection can release hyper's state until the next request.
    fn can_release(&self) -> bool {
        self.handler.idle_time() >= RELEASE_AFTER && self.stats.is_between_requests()
    }

    /// Drives a connection to its end.
    pub(super) async fn drive<C>(
        &self,
        mut connection: Pin<&mut C>,
        finish: impl Fn(Pin<&mut C>),
    ) -> DriveOutcome
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut drain = pin!(self.tokens.drain.cancelled());
        let idle_check = match self.handler.warrant().protocol() {
            PeerProtocol::Http1 => RELEASE_AFTER,
            PeerProtocol::Http2 => self.idle,
        };
        let mut clock = pin!(sleep(self.idle.min(idle_check)));
        let stall_check = progress_timeout::check_interval(self.stall);
        let mut stall_clock = pin!(sleep(stall_check));
        let mut stage = DriveStage::Serving;
        loop {
            tokio::select! {
                biased;
                outcome = poll_fn(|context| self.poll(connection.as_mut(), context)) => {
                    return outcome;
                }
                () = self.tokens.cut.cancelled() => return DriveOutcome::Stopped(Ending::Cut),
                () = stall_clock.as_mut() => {
                    if let Some(ending) = self.abort_stalled() {
                        return DriveOutcome::Stopped(ending);
                    }
                    stall_clock.as_mut().reset(Instant::now() + stall_check);
                }
                () = drain.as_mut(), if stage != DriveStage::Draining => {
                    stage = DriveStage::Draining;
                    finish(connection.as_mut());
                }
                () = clock.as_mut(), if stage != DriveStage::Draining => match stage {
                    DriveStage::Serving if self.handler.idle_time() >= self.idle => {
                        stage = DriveStage::IdleExpired;
                        finish(connection.as_mut());
                        clock.as_mut().reset(Instant::now() + CLOSE_TIMEOUT);
                    }
                    DriveStage::Serving if self.can_release() => return DriveOutcome::Idle,
                    DriveStage::IdleExpired if !self.handler.is_busy() => {
                        return DriveOutcome::Stopped(Ending::Clean);
                    }
                    DriveStage::Serving | DriveStage::IdleExpired | DriveStage::Draining => {
                        let left = self.idle.saturating_sub(self.handler.idle_time());
                        let wait = left.max(CLOSE_TIMEOUT).min(idle_check);
                        clock.as_mut().reset(Instant::now() + wait);
                    }
                },
            }
        }
    }
}
