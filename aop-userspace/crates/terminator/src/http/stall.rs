//! Answers in which nothing moves any more.
//!
//! hyper asks a body for more when the peer has taken what came before, so neither a peer that stops
//! reading nor an upstream that stops writing is noticed from within. So whoever drives the connection
//! looks at its answers from time to time.

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

use super::{inbound::Progress, pool::held};

/// In so many rounds without a movement an answer has stalled.
const ROUNDS: u32 = 4;

/// The time between two rounds, where nothing may stand still for `stall`. It begins right before
/// one round perhaps.
pub(super) fn pause(stall: Duration) -> Duration {
    stall / (ROUNDS - 1)
}

/// The answers of one connection that have begun and not ended.
#[derive(Default)]
pub(super) struct Pulses {
    next: AtomicU64,
    watched: Mutex<HashMap<u64, Watched>>,
}

/// How far an answer has come, and its request.
pub(super) struct Pulse {
    number: u64,
    answer: AtomicU64,
    request: Option<Arc<Progress>>,
    /// Cloudflare's name for it.
    pub(super) ray: Option<HeaderValue>,
    /// The task that answers.
    pub(super) task: Option<task::Id>,
}

struct Watched {
    pulse: Arc<Pulse>,
    seen: u64,
    still: u32,
}

impl Pulses {
    /// Watches an answer that begins, to a request whose body comes on as `request` tells.
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

    /// Those that have just stalled: nothing has moved in them since they were looked at so many times
    /// before, nor in `wire`, which counts what moved beside them.
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
    /// A part of the answer was taken.
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
    fn what_moves_has_not_stalled_and_what_stands_still_has_once() {
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
