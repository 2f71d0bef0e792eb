//! The log limit: bounds the lines about refused connections and requests, and about connections
//! that observe mode relays, so that a flood does not fill a disk.
//!
//! Each reason gets a number of lines a second; one more line then says how many were left out. The
//! counters count every event.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aop_http::http2::Limit;
use aop_tls::Refusal;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::http::Denial;

/// Lines for one reason in one second.
const LINES: u32 = 50;
const SECOND: Duration = Duration::from_secs(1);

/// The lines of the current second, by reason.
#[derive(Default)]
pub(super) struct LogLimit(Mutex<HashMap<LogReason, Window>>);

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LogReason {
    Connection(Refusal),
    Request(Denial),
    /// An HTTP/2 connection exceeded a rate.
    Retired(Limit),
    /// The connection was relayed although enforcing would refuse it: its site observes.
    Observed(Refusal),
}

struct Window {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl LogLimit {
    /// Whether one more line may be written for `reason`. If not, the omission is counted.
    pub(super) fn may_log(&self, reason: LogReason) -> bool {
        self.may_log_at(Instant::now(), reason)
    }

    fn may_log_at(&self, now: Instant, reason: LogReason) -> bool {
        let mut windows = self.0.lock();
        let window = windows.entry(reason).or_insert(Window::beginning(now));
        let over = window.roll(now);
        let may = window.written < LINES;
        if may {
            window.written += 1;
        } else {
            window.left_out += 1;
        }
        drop(windows);
        log_omitted(reason, over);
        may
    }

    /// Logs once a second how many lines were left out. Never returns.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            sleep(SECOND).await;
            self.close_windows(|window, now| window.roll(now));
        }
    }

    /// Logs the omissions that are not logged yet.
    pub(super) fn finish(&self) {
        self.close_windows(|window, _| std::mem::take(&mut window.left_out));
    }

    fn close_windows(&self, end: impl Fn(&mut Window, Instant) -> u64) {
        let now = Instant::now();
        let mut windows = self.0.lock();
        let over: Vec<_> =
            windows.iter_mut().map(|(reason, window)| (*reason, end(window, now))).collect();
        drop(windows);
        over.into_iter().for_each(|(reason, left_out)| log_omitted(reason, left_out));
    }
}

impl Window {
    const fn beginning(since: Instant) -> Self {
        Self { since, written: 0, left_out: 0 }
    }

    /// Starts a new window if the second is over. Returns the number of lines left out in the old
    /// one.
    fn roll(&mut self, now: Instant) -> u64 {
        if now.duration_since(self.since) < SECOND {
            return 0;
        }
        std::mem::replace(self, Self::beginning(now)).left_out
    }
}

fn log_omitted(reason: LogReason, left_out: u64) {
    let (outcome, what) = match reason {
        LogReason::Connection(refusal) => (refusal.name(), "connections refused for"),
        LogReason::Request(denial) => (denial.name(), "requests refused for"),
        LogReason::Retired(limit) => (limit.name(), "HTTP/2 connections retired for"),
        LogReason::Observed(refusal) => {
            (refusal.name(), "connections served that enforcing would refuse for")
        }
    };
    if left_out > 0 {
        tracing::info!(outcome, left_out, "{left_out} more {what} {outcome}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_lines_in_each_second() {
        let log_limit = LogLimit::default();
        let begun = Instant::now();
        let lines = |now, refusal| {
            let reason = LogReason::Connection(refusal);
            (0..1000).filter(|_| log_limit.may_log_at(now, reason)).count()
        };
        assert_eq!(lines(begun, Refusal::Deadline), 50);
        assert_eq!(lines(begun, Refusal::BadHello), 50);
        let left_out = || log_limit.0.lock().values().map(|window| window.left_out).sum();
        assert_eq!((lines(begun, Refusal::Deadline), left_out()), (0, 2900_u64));
        let later = begun + SECOND;
        assert_eq!((lines(later, Refusal::Deadline), left_out()), (50, 1900));
        log_limit.finish();
        assert_eq!(left_out(), 0);
    }
}
