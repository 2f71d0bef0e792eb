//! Observe mode: how often enforcing would have refused a connection that was relayed. Counted
//! since start, and for the last day from admitted addresses: these show whether enforcing would
//! cut real pulls.
//!
//! Memory is bounded whatever peers do: by sites, reasons and hours.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aop_tls::{Refusal, WouldRefuse};

const HOUR: u64 = 3600;
/// Older observations do not count as evidence.
const HOURS: u64 = 24;

/// The observations, by site.
#[derive(Debug, Default)]
pub(super) struct Observations(Mutex<HashMap<Arc<str>, OfSite>>);

#[derive(Debug, Default)]
struct OfSite {
    all: HashMap<Refusal, u64>,
    from_admitted: HashMap<Refusal, u64>,
    /// Those from admitted addresses in each recent hour, numbered since 1970.
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
    /// Counts a connection from `address` at `now`, in seconds since 1970.
    pub(super) fn add(
        &self,
        site: &Arc<str>,
        would: &WouldRefuse,
        address: IpAddr,
        admitted: bool,
        now: u64,
    ) {
        let mut sites = self.held();
        let seen = sites.entry(site.clone()).or_default();
        *seen.all.entry(would.refusal).or_default() += 1;
        if !admitted {
            return;
        }
        *seen.from_admitted.entry(would.refusal).or_default() += 1;
        let hour = now / HOUR;
        seen.forget_before(hour);
        if seen.hours.back().is_none_or(|(last, _)| *last != hour) {
            seen.hours.push_back((hour, HashMap::new()));
        }
        if let Some((_, counts)) = seen.hours.back_mut() {
            *counts.entry(would.refusal).or_default() += 1;
        }
        let (site, presented) = (site.clone(), would.presented.clone());
        let refusal = would.refusal;
        seen.last = Some(LastObservation { site, refusal, address, presented, at: now });
    }

    /// Discards the evidence of the last day: `site` begins to observe.
    pub(super) fn begin(&self, site: &str) {
        if let Some(seen) = self.held().get_mut(site) {
            (seen.hours, seen.last) = (VecDeque::new(), None);
        }
    }

    /// All counts at `now`, and each site's latest connection from an admitted address.
    pub(super) fn snapshot(&self, now: u64) -> (Vec<ObservedCount>, Vec<LastObservation>) {
        let (mut counts, mut last) = (Vec::new(), Vec::new());
        for (site, seen) in self.held().iter_mut() {
            seen.forget_before(now / HOUR);
            counts.extend(seen.all.iter().map(|(refusal, count)| ObservedCount {
                site: site.clone(),
                refusal: *refusal,
                count: *count,
                from_admitted: seen.from_admitted.get(refusal).copied().unwrap_or(0),
                lately: seen.hours.iter().filter_map(|(_, hour)| hour.get(refusal)).sum(),
            }));
            last.extend(seen.last.clone());
        }
        counts.sort_by(|a, b| (&a.site, a.refusal.name()).cmp(&(&b.site, b.refusal.name())));
        last.sort_by(|a, b| a.site.cmp(&b.site));
        (counts, last)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Arc<str>, OfSite>> {
        // A panic under the lock leaves the counters usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfSite {
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
        let add = |refusal, admitted, now| {
            let (detail, presented) = (String::new(), Some("CN=x".to_owned()));
            let would = WouldRefuse { refusal, detail, presented };
            observations.add(&site, &would, ADDRESS, admitted, now);
        };
        let day = HOURS * HOUR;
        add(Refusal::UnknownCa, true, 0);
        add(Refusal::UnknownCa, false, 10);
        add(Refusal::UnknownCa, true, day);
        add(Refusal::Expired, false, day);
        let snapshot = |now| {
            let (counts, last) = observations.snapshot(now);
            let numbers =
                counts.iter().map(|it| (it.refusal, it.count, it.from_admitted, it.lately));
            (numbers.collect::<Vec<_>>(), last)
        };
        let (counts, last) = snapshot(day);
        assert_eq!(counts, [(Refusal::Expired, 1, 0, 0), (Refusal::UnknownCa, 3, 2, 2)]);
        let [last] = &last[..] else { panic!("{last:?}") };
        assert_eq!((last.at, last.refusal, last.address), (day, Refusal::UnknownCa, ADDRESS));
        assert_eq!(snapshot(day + HOUR).0[1], (Refusal::UnknownCa, 3, 2, 1));
        observations.begin("example.com");
        let (counts, last) = snapshot(day);
        assert_eq!((counts[1], last), ((Refusal::UnknownCa, 3, 2, 0), Vec::new()));
    }
}
