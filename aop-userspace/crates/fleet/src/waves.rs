//! Waves: a fleet changes in parts, and the next part begins when the one before lasts. Pure: from
//! the reports of the hosts to the next step.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use aop_api::{OrderResult, OrderState, Wave};
use aop_config::FleetName;
use jiff::{SignedDuration, Timestamp};

use crate::orders::{PLACES, place};

/// The time until a host that reports must have taken an order: two reports, and their jitter.
pub const TAKES_AT_MOST: Duration = Duration::from_secs(45);

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

/// A host as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenHost {
    /// The last orders that it took, the newest last.
    pub orders: Vec<OrderResult>,
    /// Why the report may not be that of the host.
    pub doubt: Option<String>,
}

/// The progress of the hosts of a wave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaveProgress {
    /// Hosts that have not taken the order.
    pub asked: usize,
    /// Hosts on which it waits for a confirmation.
    pub waiting: usize,
    /// Hosts on which it lasts.
    pub lasting: usize,
    /// Hosts that stop the wave, each with the reason.
    pub stops: Vec<(FleetName, String)>,
}

impl WaveProgress {
    /// The progress of the order `serial`, signed at `signed`, on `hosts`; `None` stands for a host
    /// that does not report.
    #[must_use]
    pub fn of(
        serial: u64,
        signed: Timestamp,
        now: Timestamp,
        hosts: &BTreeMap<FleetName, Option<SeenHost>>,
    ) -> Self {
        let mut progress = Self::default();
        for (name, host) in hosts {
            let Some(host) = host else {
                progress.stops.push((name.clone(), "it does not report any more".to_owned()));
                continue;
            };
            if let Some(doubt) = &host.doubt {
                progress.stops.push((name.clone(), doubt.clone()));
                continue;
            }
            let order = host.orders.iter().find(|order| order.serial == serial);
            let newer = host.orders.iter().map(|order| order.serial).max();
            if let (None, Some(newer)) = (order, newer.filter(|newer| *newer > serial)) {
                progress.stops.push((name.clone(), format!("it took order {newer} instead")));
                continue;
            }
            let Some(order) = order else {
                let late = now.duration_since(signed)
                    > SignedDuration::try_from(TAKES_AT_MOST).unwrap_or(SignedDuration::MAX);
                if late {
                    let why = "it reports, and does not take the order: see `aop status` there";
                    progress.stops.push((name.clone(), why.to_owned()));
                } else {
                    progress.asked += 1;
                }
                continue;
            };
            let why = match &order.state {
                OrderState::Begun => {
                    progress.asked += 1;
                    continue;
                }
                OrderState::Waiting => {
                    progress.waiting += 1;
                    continue;
                }
                OrderState::Lasting | OrderState::Done => {
                    progress.lasting += 1;
                    continue;
                }
                OrderState::Refused => {
                    let error = order.error.as_deref().unwrap_or("it does not say why");
                    format!("it refused: {error}")
                }
                OrderState::TakenBack => {
                    "it went back: no confirmation, or too few pulls, in time".to_owned()
                }
                OrderState::Unknown(state) => format!("its state {state} is not known here"),
            };
            progress.stops.push((name.clone(), why));
        }
        progress
    }

    /// Whether the wave lasts on every host.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.asked == 0 && self.waiting == 0 && self.stops.is_empty()
    }

    /// Whether nothing of this wave can change any more by the order.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.asked == 0 && self.waiting == 0
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

    #[test]
    fn a_wave_goes_on_waits_or_stops_as_its_hosts_report() {
        let signed: Timestamp = "2026-11-30T12:00:00Z".parse().expect("a time");
        let host = |serial, state, error: Option<&str>| {
            let order = OrderResult {
                serial,
                operator: String::new(),
                at: signed,
                state,
                error: error.map(str::to_owned),
            };
            Some(SeenHost { orders: vec![order], doubt: None })
        };
        let of = |host: Option<SeenHost>, seconds| {
            let name: FleetName = "a".parse().expect("a name");
            let now = signed + SignedDuration::from_secs(seconds);
            WaveProgress::of(7, signed, now, &BTreeMap::from([(name, host)]))
        };
        let counts = |it: &WaveProgress| (it.asked, it.waiting, it.lasting, it.stops.len());
        for (host, seconds, wanted) in [
            (host(6, OrderState::Lasting, None), 10, (1, 0, 0, 0)),
            (host(6, OrderState::Lasting, None), 46, (0, 0, 0, 1)),
            (host(7, OrderState::Begun, None), 10, (1, 0, 0, 0)),
            (host(7, OrderState::Waiting, None), 100, (0, 1, 0, 0)),
            (host(7, OrderState::Lasting, None), 100, (0, 0, 1, 0)),
            (host(7, OrderState::TakenBack, None), 100, (0, 0, 0, 1)),
            (host(7, OrderState::Refused, Some("pulls")), 10, (0, 0, 0, 1)),
            (host(8, OrderState::Lasting, None), 10, (0, 0, 0, 1)),
            (None, 10, (0, 0, 0, 1)),
        ] {
            assert_eq!(counts(&of(host.clone(), seconds)), wanted, "{host:?} after {seconds} s");
        }
        assert!(of(host(7, OrderState::Lasting, None), 10).is_complete());
        assert!(!of(host(7, OrderState::Waiting, None), 10).is_over());
        let refused = of(host(7, OrderState::Refused, Some("no pulls yet")), 10);
        assert!(refused.stops[0].1.contains("no pulls yet"), "{refused:?}");
        // The words of such a report about the order do not count.
        let mut doubtful = host(7, OrderState::Lasting, None);
        doubtful.as_mut().expect("a host").doubt = Some("another host claims it".to_owned());
        assert_eq!(counts(&of(doubtful, 10)), (0, 0, 0, 1));
    }
}
