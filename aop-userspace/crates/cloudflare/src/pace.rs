//! The pace of calls: below Cloudflare's limit of 1,200 calls in five minutes for a user.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Calls in [`WINDOW`]. The user's other tokens and the dashboard count against the same limit.
const MOST: usize = 600;
const WINDOW: Duration = Duration::from_secs(300);

/// When the last calls were made.
#[derive(Debug, Default)]
pub(crate) struct Pace(VecDeque<Instant>);

impl Pace {
    /// Counts a call that is wanted `now`, and returns how long it must wait.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        while self.0.front().is_some_and(|call| *call + WINDOW <= now) {
            self.0.pop_front();
        }
        let at = match self.0.len().checked_sub(MOST) {
            None => now,
            Some(place) => self.0.get(place).map_or(now, |call| *call + WINDOW),
        };
        self.0.push_back(at);
        at.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_five_minutes_have_more_calls_than_half_the_limit() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut calls = Vec::new();
        for _ in 0..2000 {
            // Each caller waits, so the next call is wanted when the last one was made.
            let now = calls.last().copied().unwrap_or(begin);
            calls.push(now + pace.wait(now));
        }
        for (at, call) in calls.iter().enumerate() {
            let within = calls.iter().skip(at).take_while(|other| **other < *call + WINDOW);
            assert!(within.count() <= MOST);
        }
        assert_eq!(calls[MOST - 1], begin, "the first calls do not wait");
        assert_eq!(calls[1999] - begin, WINDOW * 3);
        assert!(pace.0.len() <= MOST + 1, "old calls are forgotten");
    }
}
