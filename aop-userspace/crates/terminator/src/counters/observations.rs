//! Observe mode: how often enforcing would have refused a connection that was relayed. Counted
//! since start, and for the last day from admitted addresses: these show whether enforcing would
//! cut real pulls.
//!
//! Memory is bounded whatever peers do: by sites, reasons and hours.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use aop_tls::{Refusal, WouldRefuse};
use parking_lot::Mutex;

use super::{CountersSnapshot, Origin, site::RefusalCounters};

const HOUR: u64 = 3600;
/// Older observations do not count as evidence.
const HOURS: u64 = 24;

/// The observations of one site.
#[derive(Debug, Default)]
pub(super) struct Observations {
    counts: RefusalCounters,
    /// Locked only for connections from admitted addresses.
    evidence: Mutex<Evidence>,
}

/// The recent observations of connections from admitted addresses.
#[derive(Debug, Default)]
struct Evidence {
    /// Their number in each recent hour. Hours are numbered since 1970.
    hours: VecDeque<(u64, HashMap<Refusal, u64>)>,
    last: Option<LastObservation>,
}

/// How often an observing site relayed a connection that enforcing would refuse for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedCount {
    /// The site's name.
    pub site: Arc<str>,
    /// The reason.
    pub refusal: Refusal,
    /// Connections.
    pub count: u64,
    /// Connections from admitted addresses, without those of this host itself.
    pub from_admitted: u64,
    /// The part of `from_admitted` in the last 24 hours, or since the site began to observe.
    pub lately: u64,
}

/// The latest observed connection from an admitted address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastObservation {
    /// The site's name.
    pub site: Arc<str>,
    /// The reason for which enforcing would have refused it.
    pub refusal: Refusal,
    /// The peer's address.
    pub address: IpAddr,
    /// The subject of the presented certificate, which is not verified.
    pub presented: Option<String>,
    /// Seconds since 1970.
    pub at: u64,
}

impl Observations {
    /// Counts a connection from `address` to `site` at `now`, in seconds since 1970.
    pub(super) fn record(
        &self,
        site: &Arc<str>,
        would: &WouldRefuse,
        address: IpAddr,
        origin: Origin,
        now: u64,
    ) {
        self.counts.add(would.refusal, origin);
        if origin == Origin::Admitted {
            let (site, presented) = (site.clone(), would.presented.clone());
            let refusal = would.refusal;
            let last = LastObservation { site, refusal, address, presented, at: now };
            self.evidence.lock().record(last);
        }
    }

    /// Discards the evidence of the last day: the site begins to observe.
    pub(super) fn restart(&self) {
        *self.evidence.lock() = Evidence::default();
    }

    /// Appends the counts of `site` at `now` to `snapshot`.
    pub(super) fn add_to(&self, site: &Arc<str>, snapshot: &mut CountersSnapshot, now: u64) {
        let mut evidence = self.evidence.lock();
        evidence.forget_before(now / HOUR);
        let counts = self.counts.totals().into_iter().map(|total| ObservedCount {
            site: site.clone(),
            refusal: total.refusal,
            count: total.all,
            from_admitted: total.from_admitted,
            lately: evidence.hours.iter().filter_map(|(_, hour)| hour.get(&total.refusal)).sum(),
        });
        snapshot.observed.extend(counts);
        snapshot.last_observed.extend(evidence.last.clone());
    }
}

impl Evidence {
    fn record(&mut self, last: LastObservation) {
        let hour = last.at / HOUR;
        self.forget_before(hour);
        if self.hours.back().is_none_or(|(latest, _)| *latest != hour) {
            self.hours.push_back((hour, HashMap::new()));
        }
        if let Some((_, counts)) = self.hours.back_mut() {
            *counts.entry(last.refusal).or_default() += 1;
        }
        self.last = Some(last);
    }

    fn forget_before(&mut self, hour: u64) {
        while self.hours.front().is_some_and(|(first, _)| first.saturating_add(HOURS) < hour) {
            self.hours.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn evidence_from_admitted_addresses_expires_after_a_day_and_when_observing_begins_again() {
        let observations = Observations::default();
        let site: Arc<str> = "example.com".into();
        let add = |refusal, origin, now| {
            let (detail, presented) = (String::new(), Some("CN=x".to_owned()));
            let would = WouldRefuse { refusal, detail, presented };
            observations.record(&site, &would, ADDRESS, origin, now);
        };
        let day = HOURS * HOUR;
        add(Refusal::UnknownCa, Origin::Admitted, 0);
        add(Refusal::UnknownCa, Origin::Other, 10);
        add(Refusal::UnknownCa, Origin::Admitted, day);
        add(Refusal::Expired, Origin::Other, day);
        let snapshot = |now| {
            let mut snapshot = CountersSnapshot::default();
            observations.add_to(&site, &mut snapshot, now);
            let numbers = snapshot
                .observed
                .iter()
                .map(|it| (it.refusal, it.count, it.from_admitted, it.lately));
            (numbers.collect::<Vec<_>>(), snapshot.last_observed)
        };
        let (counts, last) = snapshot(day);
        assert_eq!(counts, [(Refusal::Expired, 1, 0, 0), (Refusal::UnknownCa, 3, 2, 2)]);
        let [last] = &last[..] else { panic!("{last:?}") };
        assert_eq!((last.at, last.refusal, last.address), (day, Refusal::UnknownCa, ADDRESS));
        assert_eq!(snapshot(day + HOUR).0[1], (Refusal::UnknownCa, 3, 2, 1));
        observations.restart();
        let (counts, last) = snapshot(day);
        assert_eq!((counts[1], last), ((Refusal::UnknownCa, 3, 2, 0), Vec::new()));
    }
}
