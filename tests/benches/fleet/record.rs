//! The attempts of all simulated hosts to report.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use aop_fleet::LEASE;
use aop_tests::wait;

use crate::figures::Figures;

/// The longest time between two reports of a host that is not late: the period, its jitter and a
/// second.
const LATE: Duration = Duration::from_secs(13);

/// All attempts so far.
#[derive(Default)]
pub(crate) struct Record(Mutex<Attempts>);

#[derive(Default)]
struct Attempts {
    all: Vec<Attempt>,
    /// The errors of the attempts that failed.
    errors: BTreeMap<String, usize>,
    /// The moments in which reports arrived that tell of an order.
    obeyed: Vec<Instant>,
}

#[derive(Clone, Copy)]
struct Attempt {
    host: usize,
    begun: Instant,
    ended: Instant,
    taken: bool,
}

/// The reports of a time in which nothing happens.
#[derive(Default)]
pub(crate) struct Steady {
    seconds: f64,
    reports: usize,
    failed: usize,
    late: usize,
    silent: usize,
    /// Reports of the busiest second.
    pub(crate) busiest: usize,
    /// In ascending order.
    times: Vec<Duration>,
}

/// The time until half of the hosts, and until all of them had reported.
pub(crate) struct Returned {
    pub(crate) half: f64,
    pub(crate) all: f64,
    pub(crate) failed: usize,
}

impl Record {
    /// Notes an attempt.
    pub(crate) fn note(&self, host: usize, begun: Instant, error: Option<String>) {
        let mut attempts = self.lock();
        let taken = error.is_none();
        attempts.all.push(Attempt { host, begun, ended: Instant::now(), taken });
        if let Some(error) = error {
            *attempts.errors.entry(error).or_default() += 1;
        }
    }

    /// A report has arrived that tells of an order.
    pub(crate) fn note_order(&self) {
        self.lock().obeyed.push(Instant::now());
    }

    /// Waits until each of `hosts` hosts has begun and ended a report since `since`.
    pub(crate) fn await_all(
        &self,
        hosts: usize,
        since: Instant,
        patience: Duration,
    ) -> Result<Returned> {
        let mut seen = 0;
        let returned = wait::until("all hosts report", patience, || {
            let attempts = self.lock();
            let recent = attempts.all.iter().filter(|it| it.ended >= since);
            let mut first = BTreeMap::new();
            for attempt in recent.clone().filter(|it| it.taken) {
                first.entry(attempt.host).or_insert(attempt.ended - since);
            }
            seen = first.len();
            let mut times: Vec<_> = first.into_values().collect();
            times.sort_unstable();
            (seen == hosts).then(|| Returned {
                half: times[hosts / 2].as_secs_f64(),
                all: times[hosts - 1].as_secs_f64(),
                failed: recent.filter(|it| !it.taken).count(),
            })
        });
        returned.with_context(|| format!("{seen} of {hosts}; {:?}", self.lock().errors))
    }

    /// The reports between two moments.
    pub(crate) fn steady(&self, from: Instant, to: Instant) -> Steady {
        let attempts = self.lock();
        let mut steady = Steady { seconds: (to - from).as_secs_f64(), ..Steady::default() };
        let mut last: BTreeMap<usize, Instant> = BTreeMap::new();
        let mut by_second: BTreeMap<u64, usize> = BTreeMap::new();
        for attempt in &attempts.all {
            let Attempt { host, begun, ended, taken } = *attempt;
            let before = if taken { last.insert(host, ended) } else { None };
            if !(from..to).contains(&ended) {
                continue;
            }
            if !taken {
                steady.failed += 1;
                continue;
            }
            steady.reports += 1;
            steady.times.push(ended - begun);
            *by_second.entry((ended - from).as_secs()).or_default() += 1;
            let gap = before.map(|before| ended - before).unwrap_or_default();
            steady.late += usize::from(gap > LATE);
            steady.silent += usize::from(gap > LEASE);
        }
        steady.busiest = by_second.into_values().max().unwrap_or_default();
        steady.times.sort_unstable();
        steady
    }

    /// The moment in which the last of `hosts` hosts told of the order.
    pub(crate) fn last_order(&self, hosts: usize) -> Result<Instant> {
        let attempts = self.lock();
        let told = attempts.obeyed.len();
        match attempts.obeyed.last() {
            Some(last) if told == hosts => Ok(*last),
            Some(_) | None => bail!("{told} of {hosts} hosts told of the order"),
        }
    }

    pub(crate) fn print_errors(&self) {
        for (error, count) in &self.lock().errors {
            println!("{count} times: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Steady {
    pub(crate) fn add_to(&self, figures: &mut Figures) {
        figures.add("reports", "/s", self.reports as f64 / self.seconds);
        figures.add("reports in the busiest second", "", self.busiest as f64);
        figures.add("reports that failed", "", self.failed as f64);
        figures.add("late: 13 s after the last one", "", self.late as f64);
        figures.add("later than a lease", "", self.silent as f64);
        for (name, of_thousand) in [("median", 500), ("99 of 100", 990), ("longest", 1000)] {
            let at =
                (self.times.len() * of_thousand / 1000).min(self.times.len().saturating_sub(1));
            let time = self.times.get(at).copied().unwrap_or_default();
            figures.add(&format!("time of a report: {name}"), "ms", 1000.0 * time.as_secs_f64());
        }
    }
}
