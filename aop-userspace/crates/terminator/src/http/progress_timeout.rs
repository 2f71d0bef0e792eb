//! The progress timeout of responses.
//!
//! hyper polls a body only after the peer has taken the bytes before. So the body itself notices
//! neither a peer that stops reading nor an upstream that stops writing. Instead, the driver of the
//! connection checks the progress of all its responses periodically.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::http::HeaderValue;
use parking_lot::Mutex;
use tokio::task;

use super::request_body::BodyProgress;

/// A response has stalled after this many checks without progress.
const STALLED_CHECKS: u32 = 4;

/// The interval of the checks for a progress timeout of `stall`. The first check may come right
/// after a response begins, so that many checks may span one interval less.
pub(super) fn check_interval(stall: Duration) -> Duration {
    stall / (STALLED_CHECKS - 1)
}

/// The responses of one connection that have begun and not ended.
#[derive(Default)]
pub(super) struct ResponseMonitor {
    next: AtomicU64,
    responses: Mutex<HashMap<u64, MonitoredResponse>>,
}

/// The progress of a response and its request.
pub(super) struct ResponseProgress {
    number: u64,
    answer: AtomicU64,
    request: Option<Arc<BodyProgress>>,
    /// The CF-Ray of the request.
    pub(super) ray: Option<HeaderValue>,
    /// The task that sends the response.
    pub(super) task: Option<task::Id>,
}

struct MonitoredResponse {
    progress: Arc<ResponseProgress>,
    seen: u64,
    unchanged: u32,
}

impl ResponseMonitor {
    /// Watches a response that begins; `request` is the progress of its request's body.
    pub(super) fn begin(
        &self,
        request: Option<Arc<BodyProgress>>,
        ray: Option<HeaderValue>,
    ) -> Arc<ResponseProgress> {
        let number = self.next.fetch_add(1, Relaxed);
        let (answer, task) = (AtomicU64::new(0), task::try_id());
        let progress = Arc::new(ResponseProgress { number, answer, request, ray, task });
        let monitored = MonitoredResponse { progress: progress.clone(), seen: 0, unchanged: 0 };
        self.responses.lock().insert(number, monitored);
        progress
    }

    pub(super) fn end(&self, progress: &ResponseProgress) {
        self.responses.lock().remove(&progress.number);
    }

    /// Checks all responses and returns those that have just stalled: no progress in
    /// `STALLED_CHECKS` checks, neither in the response nor in the `other_bytes` of
    /// the connection.
    pub(super) fn check(&self, other_bytes: u64) -> Vec<Arc<ResponseProgress>> {
        let mut stalled = Vec::new();
        for monitored in self.responses.lock().values_mut() {
            let now = monitored.progress.moved() + other_bytes;
            if now == monitored.seen {
                monitored.unchanged += 1;
            } else {
                (monitored.seen, monitored.unchanged) = (now, 0);
            }
            if monitored.unchanged == STALLED_CHECKS {
                stalled.push(monitored.progress.clone());
            }
        }
        stalled
    }
}

impl ResponseProgress {
    /// Records progress: the peer took a part of the response.
    pub(super) fn record_progress(&self) {
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
        let monitor = ResponseMonitor::default();
        let begin = |request| monitor.begin(request, None);
        let (moving, unchanged, ended) = (begin(None), begin(None), begin(Some(Arc::default())));
        monitor.end(&ended);
        let mut stalled = Vec::new();
        for _ in 0..3 * STALLED_CHECKS {
            moving.record_progress();
            stalled.extend(monitor.check(1));
        }
        assert_eq!(stalled.len(), 1);
        assert!(Arc::ptr_eq(&stalled[0], &unchanged));
        assert!((0..3 * STALLED_CHECKS).all(|wire| monitor.check(u64::from(wire) + 2).is_empty()));
    }
}
