//! Rates of counters that are read at intervals.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// How many rates of each counter are kept for its sparkline.
const HISTORY: usize = 120;
/// The height of a sparkline's bars.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Counters by key.
pub(super) struct Rates<K> {
    at: Option<Duration>,
    counters: BTreeMap<K, CounterHistory>,
}

/// The last value of a counter, and its rates.
#[derive(Debug, Default)]
pub(super) struct CounterHistory {
    count: u64,
    /// Per second, the latest last. Empty before the second reading.
    rates: VecDeque<f64>,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self { at: None, counters: BTreeMap::new() }
    }
}

impl<K: Ord> Rates<K> {
    /// Takes a reading; `at` is the time on a monotonic clock. A counter that is missing from the
    /// reading is forgotten. A new counter is assumed to have been zero before.
    pub(super) fn read(&mut self, at: Duration, counts: impl IntoIterator<Item = (K, u64)>) {
        let passed = self.at.map(|before| at.saturating_sub(before).as_secs_f64());
        let mut before = std::mem::take(&mut self.counters);
        for (key, count) in counts {
            let mut counter = before.remove(&key).unwrap_or_default();
            counter.update(count, passed);
            self.counters.insert(key, counter);
        }
        self.at = Some(at);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &CounterHistory)> {
        self.counters.iter()
    }
}

impl CounterHistory {
    fn update(&mut self, count: u64, passed: Option<f64>) {
        if let Some(passed) = passed.filter(|passed| *passed > 0.0) {
            // A counter that has become smaller was reset.
            let moved = count.checked_sub(self.count).unwrap_or(count);
            if self.rates.len() == HISTORY {
                self.rates.pop_front();
            }
            self.rates.push_back(moved as f64 / passed);
        }
        self.count = count;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Per second, between the last two readings; `None` before the second one.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rates.back().copied()
    }

    /// The last `width` rates as bars, scaled to the highest of them.
    pub(super) fn sparkline(&self, width: usize) -> String {
        let shown = self.rates.iter().skip(self.rates.len().saturating_sub(width));
        let highest = shown.clone().copied().fold(0.0, f64::max);
        shown.map(|rate| bar(*rate, highest)).collect()
    }
}

fn bar(rate: f64, highest: f64) -> char {
    if rate <= 0.0 {
        return ' ';
    }
    let steps = BARS.len() as f64;
    let step = (rate / highest * steps).ceil() as usize;
    BARS[step.clamp(1, BARS.len()) - 1]
}

/// A rate in few characters.
pub(super) fn format_rate(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate <= 0.0 => "0".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.1}"),
        Some(rate) if rate < 1e5 => format!("{rate:.0}"),
        Some(rate) if rate < 1e8 => format!("{:.1}k", rate / 1e3),
        Some(rate) => format!("{:.1}M", rate / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rates: &mut Rates<&'static str>, at: u64, counts: &[(&'static str, u64)]) {
        rates.read(Duration::from_secs(at), counts.iter().copied());
    }

    fn rate(rates: &Rates<&'static str>, key: &str) -> Option<f64> {
        rates.iter().find(|(known, _)| **known == key).and_then(|(_, counter)| counter.rate())
    }

    #[test]
    fn a_rate_takes_two_readings_and_the_time_between_them() {
        let mut rates = Rates::default();
        read(&mut rates, 10, &[("a", 1000)]);
        assert_eq!(rate(&rates, "a"), None);
        read(&mut rates, 14, &[("a", 1008)]);
        assert_eq!(rate(&rates, "a"), Some(2.0));
        // A second reading at the same moment has no rate.
        read(&mut rates, 14, &[("a", 1008)]);
        assert_eq!(rate(&rates, "a"), Some(2.0));
    }

    #[test]
    fn a_counter_that_was_reset_or_is_new_counts_from_zero() {
        let mut rates = Rates::default();
        read(&mut rates, 1, &[("a", 1000)]);
        read(&mut rates, 2, &[("a", 3), ("b", 5)]);
        assert_eq!((rate(&rates, "a"), rate(&rates, "b")), (Some(3.0), Some(5.0)));
        read(&mut rates, 3, &[("b", 5)]);
        assert_eq!((rate(&rates, "a"), rate(&rates, "b")), (None, Some(0.0)));
    }

    #[test]
    fn a_sparkline_shows_the_latest_rates_and_never_more_than_are_kept() {
        let mut rates = Rates::default();
        let mut count = 0;
        for second in 0..500 {
            count += second % 5;
            read(&mut rates, second, &[("a", count)]);
        }
        let (_, counter) = rates.iter().next().expect("a counter");
        assert_eq!(counter.sparkline(5), " ▂▄▆█");
        assert_eq!(counter.sparkline(10_000).chars().count(), HISTORY);
        assert_eq!(counter.count(), count);
    }

    #[test]
    fn rates_are_shown_in_few_characters() {
        for (rate, text) in [
            (None, "–"),
            (Some(0.0), "0"),
            (Some(0.25), "0.2"),
            (Some(12345.6), "12346"),
            (Some(123_456.0), "123.5k"),
            (Some(2.5e9), "2500.0M"),
        ] {
            assert_eq!(format_rate(rate), text);
        }
    }
}
