//! When a host reports: every ten seconds, and not in step with the other hosts. A restart of etcd
//! or of many hosts brings them into step: after such an event each host chooses its place anew.

use std::{
    hash::{BuildHasher, RandomState},
    mem,
    time::Duration,
};

/// The time between two reports, with jitter: the hosts of a fleet must not report in step.
const PERIOD: Duration = Duration::from_secs(10);
/// The time until the next attempt, while etcd is away.
const RETRY: Duration = Duration::from_secs(3);
/// An attempt that failed after this time may have met a crowd: so many hosts at once that etcd
/// answers none of them in time. After a second etcd itself says that it lags behind.
const SLOW: Duration = Duration::from_millis(900);
/// The longest time by which a host stays away from a crowd.
const MAX_AWAY: Duration = Duration::from_secs(20);
/// The same where attempts fail at once: etcd is down, or says that it has too much to do.
const MAX_AWAY_AT_ONCE: Duration = Duration::from_secs(8);
/// The longest time until a process that broke is started again.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// The pauses of one host between its attempts to report.
#[derive(Debug)]
pub struct Pacing {
    /// The pause after the next break of the process.
    backoff: Duration,
    /// The longest time by which this host stays away from a crowd now.
    away: Duration,
    /// Whether the last attempt was a report.
    reporting: bool,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { backoff: Self::SPACING, away: Duration::ZERO, reporting: false }
    }
}

impl Pacing {
    /// The shortest time between two reports: that of a change.
    pub const SPACING: Duration = Duration::from_secs(1);

    /// The pause after a report, or after an attempt that failed on this host.
    pub fn after_report(&mut self) -> Duration {
        self.backoff = Self::SPACING;
        self.away = Duration::ZERO;
        if mem::replace(&mut self.reporting, true) { jittered(PERIOD) } else { place() }
    }

    /// The pause after an attempt that etcd did not answer, or refused, after this time. While
    /// attempts fail, it grows, and hosts that were in step go apart.
    pub fn after_refusal(&mut self, took: Duration) -> Duration {
        self.backoff = Self::SPACING;
        self.reporting = false;
        let (least, most) =
            if took >= SLOW { (took, MAX_AWAY) } else { (Self::SPACING, MAX_AWAY_AT_ONCE) };
        self.away = (self.away * 2).max(least).min(most);
        jittered(RETRY) + self.away * random(1000) / 1000
    }

    /// The pause after the process that talks to etcd broke. It grows while that goes on.
    pub fn after_break(&mut self) -> Duration {
        let pause = self.backoff;
        self.reporting = false;
        self.backoff = (pause * 2).min(MAX_BACKOFF);
        jittered(pause)
    }
}

/// A time that differs from `mean` by a fifth at most.
fn jittered(mean: Duration) -> Duration {
    mean * (800 + random(400)) / 1000
}

/// Any time within a period, but no shorter than [`Pacing::SPACING`].
fn place() -> Duration {
    Pacing::SPACING + (PERIOD - Pacing::SPACING) * random(1000) / 1000
}

/// A number up to `most`.
fn random(most: u32) -> u32 {
    // The keys of the hasher are random.
    let random = RandomState::new().hash_one(0_u8) % (u64::from(most) + 1);
    u32::try_from(random).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_grows_while_the_process_breaks_and_ends_with_an_answer() {
        let mut pacing = Pacing::default();
        for _ in 0..20 {
            let pause = pacing.after_break();
            assert!(pause <= MAX_BACKOFF * 6 / 5, "{pause:?}");
        }
        assert!(pacing.after_break() >= MAX_BACKOFF * 4 / 5);
        pacing.after_report();
        assert!(pacing.after_break() <= Pacing::SPACING * 6 / 5);
    }

    #[test]
    fn the_jitter_is_a_fifth() {
        let mut pacing = Pacing::default();
        pacing.after_report();
        let times: Vec<_> = (0..1000).map(|_| pacing.after_report()).collect();
        assert!(times.iter().all(|it| (8..=12).contains(&it.as_secs())), "{times:?}");
        assert!(times.iter().any(|it| it.as_secs() == 8));
        assert!(times.iter().any(|it| it.as_secs() >= 11));
    }

    #[test]
    fn hosts_that_begin_together_are_spread_over_the_whole_period() {
        let starts = [
            |_: &mut Pacing| Duration::ZERO,
            |pacing: &mut Pacing| pacing.after_refusal(Duration::ZERO),
            Pacing::after_break,
        ];
        for begin in starts {
            let mut seconds = [0; 10];
            for _ in 0..1000 {
                let mut pacing = Pacing::default();
                begin(&mut pacing);
                let pause = pacing.after_report();
                assert!(pause >= Pacing::SPACING && pause <= PERIOD, "{pause:?}");
                seconds[usize::try_from(pause.as_secs()).unwrap().min(9)] += 1;
                assert!(pacing.after_report() >= PERIOD * 4 / 5);
            }
            assert!(seconds[1..].iter().all(|hosts| (60..180).contains(hosts)), "{seconds:?}");
        }
    }

    #[test]
    fn hosts_that_etcd_does_not_answer_in_time_go_apart_and_others_try_again_soon() {
        let mut pacing = Pacing::default();
        let longest = |pacing: &Pacing, took| {
            let pause = |_| Pacing { ..*pacing }.after_refusal(took);
            (0..1000).map(pause).max().unwrap().as_secs()
        };
        let slow = Duration::from_secs(5);
        assert!((7..=8).contains(&longest(&pacing, slow)));
        pacing.after_refusal(slow);
        assert!((12..=13).contains(&longest(&pacing, slow)));
        for _ in 0..20 {
            pacing.after_refusal(slow);
        }
        assert!((20..=23).contains(&longest(&pacing, slow)));
        assert!((10..=11).contains(&longest(&pacing, Duration::ZERO)));
        pacing.after_report();
        assert!((7..=8).contains(&longest(&pacing, slow)));
        assert!((3..=4).contains(&longest(&pacing, Duration::ZERO)));
    }
}
