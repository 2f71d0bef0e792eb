//! Waves: a fleet changes in parts, and the next part begins when the one before lasts. This
//! divides the hosts; [`WaveWatch`](crate::WaveWatch) says when a part lasts.

use std::str::FromStr;

use aop_api::Wave;
use aop_config::FleetName;

use crate::orders::{PLACES, place};

/// The sizes of waves: how many hosts belong to each wave and to those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaveSizes(Vec<WaveSize>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaveSize {
    Hosts(usize),
    Percent(usize),
}

impl WaveSize {
    fn of(self, all: usize) -> usize {
        match self {
            Self::Hosts(hosts) => hosts.min(all),
            Self::Percent(percent) => (all * percent).div_ceil(100),
        }
    }
}

impl FromStr for WaveSizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |text: &str| {
            let text = text.trim();
            let (number, percent) = match text.strip_suffix('%') {
                Some(number) => (number, true),
                None => (text, false),
            };
            match number.parse() {
                Ok(percents @ 1..=100) if percent => Some(WaveSize::Percent(percents)),
                Ok(hosts @ 1..) if !percent => Some(WaveSize::Hosts(hosts)),
                Ok(_) | Err(_) => None,
            }
        };
        let sizes: Option<Vec<_>> = text.split(',').map(size).collect();
        sizes.map(Self).ok_or_else(|| {
            format!(
                "{text:?} are no waves: write numbers of hosts or percentages, each with those \
                 before it, such as 1,10%,100%"
            )
        })
    }
}

/// A wave of known hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedWave {
    /// The places that belong to it; `None`: all. Hosts that the operator does not see have places,
    /// too.
    pub places: Option<Wave>,
    /// The hosts that the operator sees there, by name.
    pub hosts: Vec<FleetName>,
}

impl WaveSizes {
    /// Divides `hosts` into waves. A wave that would add no host is left out. If the sizes do not
    /// reach all hosts, the rest belongs to no wave.
    #[must_use]
    pub fn plan(&self, hosts: impl IntoIterator<Item = FleetName>) -> Vec<PlannedWave> {
        let mut by_place: Vec<(u64, FleetName)> =
            hosts.into_iter().map(|name| (place(&name), name)).collect();
        by_place.sort();
        let all = by_place.len();
        let mut waves: Vec<PlannedWave> = Vec::new();
        let (mut taken, mut from) = (0, 0);
        for size in &self.0 {
            // Hosts of one place are in one wave.
            let mut end = size.of(all).max(taken);
            while end < all && end > taken && by_place[end].0 == by_place[end - 1].0 {
                end += 1;
            }
            if end == taken {
                continue;
            }
            let below = if end == all { PLACES } else { by_place[end - 1].0 + 1 };
            let mut hosts: Vec<FleetName> =
                by_place[taken..end].iter().map(|(_, name)| name.clone()).collect();
            hosts.sort();
            waves.push(PlannedWave { places: Some(Wave { from, below }), hosts });
            (taken, from) = (end, below);
        }
        waves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<FleetName> {
        (0..count).map(|number| format!("web-{number}").parse().expect("a name")).collect()
    }

    fn sizes(text: &str) -> WaveSizes {
        text.parse().expect("sizes")
    }

    #[test]
    fn waves_cover_every_host_once_and_the_last_one_the_unseen_ones_too() {
        let waves = sizes("1,10%,100%").plan(names(40));
        let counts: Vec<usize> = waves.iter().map(|wave| wave.hosts.len()).collect();
        assert_eq!(counts, [1, 3, 36]);
        let mut all: Vec<_> = waves.iter().flat_map(|wave| wave.hosts.clone()).collect();
        all.sort();
        let mut wanted = names(40);
        wanted.sort();
        assert_eq!(all, wanted);
        let mut from = 0;
        for PlannedWave { places, hosts } in &waves {
            let places = places.expect("places");
            assert_eq!(places.from, from);
            from = places.below;
            assert!(hosts.iter().all(|it| (places.from..places.below).contains(&place(it))));
        }
        assert_eq!(from, PLACES);
    }

    #[test]
    fn a_wave_that_adds_nobody_is_left_out_and_a_rest_stays_out() {
        assert_eq!(sizes("1,10%,100%").plan(names(1)).len(), 1);
        assert_eq!(sizes("1,10%,100%").plan(names(0)), []);
        let waves = sizes("50%").plan(names(10));
        assert_eq!(waves[0].hosts.len(), 5);
        assert!(waves[0].places.is_some_and(|places| places.below < PLACES));
    }

    #[test]
    fn sizes_are_numbers_and_percentages() {
        for text in ["", "0", "0%", "101%", "1,,2", "all", "-1", "1.5"] {
            assert!(text.parse::<WaveSizes>().is_err(), "{text}");
        }
        assert_eq!(sizes("2, 100%").0, [WaveSize::Hosts(2), WaveSize::Percent(100)]);
    }
}
