//! The progress timeout of responses.
//!
//! hyper polls a body only after the peer has taken the bytes before. So the body itself notices
//! neither a peer that stops reading nor an upstream that stops writing. Instead, the driver of the
//! connection checks the progress of all its responses periodically.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::http::HeaderValue;
use tokio::task;

use super::{request_body::Progress, upstream::held};

/// A response has stalled after this many checks without progress.
const ROUNDS: u32 = 4;

/// The interval of the checks for a progress timeout of `stall`. The first check may come right
/// after a response begins, so `ROUNDS` checks may span only `ROUNDS - 1` intervals.
pub(super) fn pause(stall: Duration) -> Duration {
    stall / (ROUNDS - 1)
}

/// The responses of one connection that have begun and not ended.
#[derive(Default)]
pub(super) struct Pulses {
    next: AtomicU64,
    watched: Mutex<HashMap<u64, Watched>>,
}

/// The progress of a response and its request.
pub(super) struct Pulse {
    number: u64,
    answer: AtomicU64,
    request: Option<Arc<Progress>>,
    /// The CF-Ray of the request.
    pub(super) ray: Option<HeaderValue>,
    /// The task that sends the response.
    pub(super) task: Option<task::Id>,
}

struct Watched {
    pulse: Arc<Pulse>,
    seen: u64,
    still: u32,
}

impl Pulses {
    /// Watches a response that begins; `request` is the progress of its request's body.
    pub(super) fn begin(
        &self,
        request: Option<Arc<Progress>>,
        ray: Option<HeaderValue>,
    ) -> Arc<Pulse> {
        let number = self.next.fetch_add(1, Relaxed);
        let (answer, task) = (AtomicU64::new(0), task::try_id());
        let pulse = Arc::new(Pulse { number, answer, request, ray, task });
        let watched = Watched { pulse: pulse.clone(), seen: 0, still: 0 };
        held(&self.watched).insert(number, watched);
        pulse
    }

    pub(super) fn end(&self, pulse: &Pulse) {
        held(&self.watched).remove(&pulse.number);
    }

    /// Checks all responses and returns those that have just stalled: no progress in `ROUNDS`
    /// checks, neither in the response nor in `wire`, which counts other bytes of the connection.
    pub(super) fn round(&self, wire: u64) -> Vec<Arc<Pulse>> {
        let mut stalled = Vec::new();
        for watched in held(&self.watched).values_mut() {
            let now = watched.pulse.moved() + wire;
            if now == watched.seen {
                watched.still += 1;
            } else {
                (watched.seen, watched.still) = (now, 0);
            }
            if watched.still == ROUNDS {
                stalled.push(watched.pulse.clone());
            }
        }
        stalled
    }
}

impl Pulse {
    /// Records progress: the peer took a part of the response.
    pub(super) fn beat(&self) {
        self.answer.fetch_add(1, Relaxed);
    }

    fn moved(&self) -> u64 {
        self.answer.load(Relaxed) + self.request.as_ref().map_or(0, |request| request.frames())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_without_progress_stalls_once_and_one_with_progress_never() {
        let pulses = Pulses::default();
        let begin = |request| pulses.begin(request, None);
        let (moving, still, ended) = (begin(None), begin(None), begin(Some(Arc::default())));
        pulses.end(&ended);
        let mut stalled = Vec::new();
        for _ in 0..3 * ROUNDS {
            moving.beat();
            stalled.extend(pulses.round(1));
        }
        assert_eq!(stalled.len(), 1);
        assert!(Arc::ptr_eq(&stalled[0], &still));
        assert!((0..3 * ROUNDS).all(|wire| pulses.round(u64::from(wire) + 2).is_empty()));
    }
}
