//! How many lines of refused connections and requests, and of such as would be, are written: a flood shall not fill a disk.
//!
//! Of each reason so many in a second, and then one line that says how many more there were. The
//! counters in the ledger have them all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aop_tls::Refusal;
use tokio::time::{Instant, sleep};

use super::http::Denial;

/// Lines of one reason in one second.
const LINES: u32 = 50;
const SECOND: Duration = Duration::from_secs(1);

/// What was written in the last second, by reason.
#[derive(Default)]
pub(super) struct Quiet(Mutex<HashMap<Reason, Window>>);

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    Connection(Refusal),
    Request(Denial),
    /// It was relayed all the same, since its site observes.
    Observed(Refusal),
}

struct Window {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl Quiet {
    /// Whether one more line may be written for `reason`. If not, it is counted.
    pub(super) fn may_tell(&self, reason: Reason) -> bool {
        self.may_tell_at(Instant::now(), reason)
    }

    fn may_tell_at(&self, now: Instant, reason: Reason) -> bool {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(reason).or_insert(Window::beginning(now));
        let over = window.end(now);
        let may = window.written < LINES;
        match may {
            true => window.written += 1,
            false => window.left_out += 1,
        }
        drop(windows);
        tell(reason, over);
        may
    }

    /// Tells each second how many lines were left out, for ever.
    pub(super) async fn tend(self: Arc<Self>) {
        loop {
            sleep(SECOND).await;
            self.settle(|window, now| window.end(now));
        }
    }

    /// Tells what was left out and not told yet.
    pub(super) fn finish(&self) {
        self.settle(|window, _| std::mem::take(&mut window.left_out));
    }

    fn settle(&self, end: impl Fn(&mut Window, Instant) -> u64) {
        let now = Instant::now();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over: Vec<_> =
            windows.iter_mut().map(|(reason, window)| (*reason, end(window, now))).collect();
        drop(windows);
        over.into_iter().for_each(|(reason, left_out)| tell(reason, left_out));
    }
}

impl Window {
    const fn beginning(since: Instant) -> Self {
        Self { since, written: 0, left_out: 0 }
    }

    /// Begins anew if the second is over; how many lines were left out in it.
    fn end(&mut self, now: Instant) -> u64 {
        if now.duration_since(self.since) < SECOND {
            return 0;
        }
        std::mem::replace(self, Self::beginning(now)).left_out
    }
}

fn tell(reason: Reason, left_out: u64) {
    let (outcome, what) = match reason {
        Reason::Connection(refusal) => (refusal.name(), "refused for"),
        Reason::Request(denial) => (denial.name(), "requests refused for"),
        Reason::Observed(refusal) => (refusal.name(), "served that would be refused for"),
    };
    if left_out > 0 {
        tracing::info!(outcome, left_out, "{left_out} more {what} {outcome}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_lines_and_a_new_second_has_new_ones() {
        let quiet = Quiet::default();
        let begun = Instant::now();
        let told = |now, refusal| {
            let reason = Reason::Connection(refusal);
            (0..1000).filter(|_| quiet.may_tell_at(now, reason)).count()
        };
        assert_eq!(told(begun, Refusal::Deadline), 50);
        assert_eq!(told(begun, Refusal::BadHello), 50);
        let left_out = || quiet.0.lock().unwrap().values().map(|window| window.left_out).sum();
        assert_eq!((told(begun, Refusal::Deadline), left_out()), (0, 2900_u64));
        let later = begun + SECOND;
        assert_eq!((told(later, Refusal::Deadline), left_out()), (50, 1900));
        quiet.finish();
        assert_eq!(left_out(), 0);
    }
}
