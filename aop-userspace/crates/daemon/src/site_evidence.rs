//! The pulls that a site has relayed only because it observes, over restarts: `aop mode enforce
//! --site` weighs those of a day, and the terminator counts since its start alone.

use std::{collections::BTreeSet, io, path::Path, time::Duration};

use aop_api::{Handshakes, LastObserved, RefusalCount};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

const FILE: &str = "observed.json";
/// Older pulls are no evidence.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Entries that are kept: the latest. Each has a site and a reason of its own, or is of another
/// run.
const MOST: usize = 1000;

/// The pulls of one site with one reason in an earlier run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EarlierPulls {
    reason: String,
    count: u64,
    last: LastObserved,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    observed: Vec<EarlierPulls>,
}

/// The evidence of earlier runs.
#[derive(Debug, Default)]
pub(super) struct SiteEvidence(Mutex<Vec<EarlierPulls>>);

impl SiteEvidence {
    /// Reads the file in `state`. A file that cannot be used is a warning.
    pub(super) fn load(state: &Path) -> Self {
        let loaded = aop_storage::read(state, FILE).and_then(|text| {
            let text = text.map(|text| serde_json::from_slice::<Document>(&text));
            Ok(text.transpose()?.unwrap_or_default())
        });
        let document = loaded.unwrap_or_else(|error| {
            tracing::warn!(
                "{}: cannot read which pulls were observed before: {error}; `aop mode enforce \
                 --site` weighs those since this start alone",
                state.join(FILE).display()
            );
            Document::default()
        });
        Self(Mutex::new(document.observed))
    }

    /// Adds the pulls of the last day to those of this run.
    pub(super) fn add_to(&self, handshakes: &mut Handshakes, now: Timestamp) {
        for earlier in self.0.lock().iter().filter(|earlier| earlier.counts(now)) {
            let site = &earlier.last.site;
            let lately = &mut handshakes.observed_lately;
            match lately.iter_mut().find(|it| it.site == *site && it.reason == earlier.reason) {
                Some(known) => known.count += earlier.count,
                None => lately.push(RefusalCount {
                    site: site.clone(),
                    reason: earlier.reason.clone(),
                    count: earlier.count,
                }),
            }
            match handshakes.last_observed.iter_mut().find(|last| last.site == *site) {
                Some(last) if last.at >= earlier.last.at => {}
                Some(last) => *last = earlier.last.clone(),
                None => handshakes.last_observed.push(earlier.last.clone()),
            }
        }
    }

    /// Forgets the pulls of sites that begin to observe.
    pub(super) fn forget(&self, sites: &BTreeSet<String>) {
        self.0.lock().retain(|earlier| !sites.contains(&earlier.last.site));
    }

    /// Stores the pulls of the last day, with those of this run, which are in `handshakes`.
    pub(super) fn store(
        &self,
        state: &Path,
        handshakes: &Handshakes,
        now: Timestamp,
    ) -> io::Result<()> {
        let of_this_run = handshakes.observed_lately.iter().filter_map(|it| {
            let last = handshakes.last_observed.iter().find(|last| last.site == it.site)?;
            Some(EarlierPulls { reason: it.reason.clone(), count: it.count, last: last.clone() })
        });
        let earlier = self.0.lock().clone();
        let mut observed: Vec<_> = earlier.into_iter().chain(of_this_run).collect();
        observed.retain(|earlier| earlier.counts(now));
        observed.sort_by_key(|earlier| std::cmp::Reverse(earlier.last.at));
        observed.truncate(MOST);
        if observed.is_empty() {
            return aop_storage::remove(state, FILE);
        }
        aop_storage::write(state, FILE, &serde_json::to_vec(&Document { observed })?)
    }
}

impl EarlierPulls {
    fn counts(&self, now: Timestamp) -> bool {
        now.duration_since(self.last.at).unsigned_abs() <= DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: &str = "certificate_required";

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).expect("a moment")
    }

    /// So many pulls of `site`, the last one in this hour.
    fn run(site: &str, count: u64, hour: i64) -> Handshakes {
        let (site, reason) = (site.to_owned(), REASON.to_owned());
        let last = LastObserved {
            site: site.clone(),
            reason: reason.clone(),
            address: [192, 0, 2, 7].into(),
            presented: None,
            at: at(hour),
        };
        let count = RefusalCount { site, reason, count };
        Handshakes {
            observed_lately: vec![count],
            last_observed: vec![last],
            ..Handshakes::default()
        }
    }

    fn counts(evidence: &SiteEvidence, mut handshakes: Handshakes, hour: i64) -> Vec<u64> {
        evidence.add_to(&mut handshakes, at(hour));
        handshakes.observed_lately.iter().map(|it| it.count).collect()
    }

    #[test]
    fn pulls_of_earlier_runs_count_for_a_day_and_until_the_site_begins_to_observe_again() {
        let state = tempfile::tempdir().expect("a directory");
        let state = state.path();
        let first = SiteEvidence::load(state);
        first.store(state, &run("a.test", 3, 10), at(10)).expect("stored");
        let second = SiteEvidence::load(state);
        assert_eq!(counts(&second, Handshakes::default(), 20), [3]);
        assert_eq!(counts(&second, run("a.test", 2, 20), 20), [5]);
        second.store(state, &run("a.test", 2, 20), at(20)).expect("stored");
        let third = SiteEvidence::load(state);
        assert_eq!(counts(&third, Handshakes::default(), 21), [5]);
        assert_eq!(counts(&third, Handshakes::default(), 35), [2], "only the second run counts");
        assert!(counts(&third, Handshakes::default(), 45).is_empty());
        third.forget(&["b.test".to_owned()].into());
        assert_eq!(counts(&third, Handshakes::default(), 21), [5]);
        third.forget(&["a.test".to_owned()].into());
        assert!(counts(&third, Handshakes::default(), 21).is_empty());
        third.store(state, &Handshakes::default(), at(21)).expect("stored");
        assert!(counts(&SiteEvidence::load(state), Handshakes::default(), 21).is_empty());
    }

    #[test]
    fn a_damaged_file_is_no_evidence() {
        let state = tempfile::tempdir().expect("a directory");
        std::fs::write(state.path().join(FILE), "{").expect("written");
        assert!(counts(&SiteEvidence::load(state.path()), Handshakes::default(), 1).is_empty());
    }
}
