//! The set that judges source addresses, in the form that the packet path holds it.

#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use aop_common::{
    Standing,
    layout::{MAX_PREFIXES, Prefix},
};
use ipnet::IpNet;
use prefix_trie::joint::{JointPrefixMap, JointPrefixSet};
use rustix::time::{ClockId, clock_gettime};

/// Every prefix that counts: admitted ones, and those that left the list and drain. Cheap to clone.
#[derive(Clone, Default)]
pub struct Admission(Arc<Set>);

/// The same entries twice: in a row, and to be searched.
#[derive(Default)]
struct Set {
    entries: Vec<(IpNet, Prefix)>,
    trie: JointPrefixMap<IpNet, Prefix>,
}

impl Admission {
    /// A set that was written earlier, in any order. Of two entries for a prefix the last one counts,
    /// as it does for the packet path's maps.
    #[must_use]
    pub fn from_entries(entries: Vec<(IpNet, Prefix)>) -> Self {
        let trie: JointPrefixMap<IpNet, Prefix> = entries.into_iter().collect();
        let entries = trie.iter().map(|(prefix, entry)| (prefix, *entry)).collect();
        Self(Arc::new(Set { entries, trie }))
    }

    /// The set that follows `self` when the list becomes `admitted`: what is no longer on it
    /// drains for `drain` from `now` (seconds of the monotonic clock), what drains already goes on
    /// to its own end.
    #[must_use]
    pub fn followed_by(&self, admitted: &[IpNet], drain: Duration, now: u64) -> Self {
        let until = u32::try_from(now.saturating_add(drain.as_secs()))
            .unwrap_or(u32::MAX)
            .min(Prefix::ADMITTED.drains_until - 1);
        let mut listed = JointPrefixSet::new();
        let mut entries: Vec<(IpNet, Prefix)> = Vec::with_capacity(admitted.len());
        for prefix in admitted {
            if listed.insert(*prefix) {
                entries.push((*prefix, Prefix::ADMITTED));
            }
        }
        for (prefix, entry) in self.entries() {
            let drains_until =
                if *entry == Prefix::ADMITTED { until } else { entry.drains_until.min(until) };
            // The longest match decides, so a draining prefix must never lie inside an admitted one.
            if u64::from(drains_until) > now && !listed.is_covered(prefix) {
                entries.push((*prefix, Prefix { drains_until }));
            }
        }
        Self::from_entries(fitting(entries))
    }

    /// Without the entries of these `prefixes`: they do not drain either.
    #[must_use]
    pub fn without(&self, prefixes: &[IpNet]) -> Self {
        if prefixes.is_empty() {
            return self.clone();
        }
        let others = self.entries().iter().filter(|(prefix, _)| !prefixes.contains(prefix));
        Self::from_entries(others.copied().collect())
    }

    /// How `source` stands at `now`, by the longest prefix that matches.
    #[must_use]
    pub fn standing(&self, source: IpAddr, now: u64) -> Standing {
        self.longest(source).map_or(Standing::Unknown, |(_, entry)| entry.standing(|| now))
    }

    /// The longest prefix that `source` lies in.
    #[must_use]
    pub fn longest(&self, source: IpAddr) -> Option<(IpNet, Prefix)> {
        self.0.trie.get_lpm(&IpNet::from(source)).map(|(prefix, entry)| (prefix, *entry))
    }

    /// The entries, for the packet path's maps: sorted, each prefix once.
    #[must_use]
    pub fn entries(&self) -> &[(IpNet, Prefix)] {
        &self.0.entries
    }

    /// The admitted prefixes.
    pub fn admitted_prefixes(&self) -> impl Iterator<Item = IpNet> {
        let admitted = self.entries().iter().filter(|(_, entry)| *entry == Prefix::ADMITTED);
        admitted.map(|(prefix, _)| *prefix)
    }

    /// How many IPv4 and IPv6 prefixes are admitted.
    #[must_use]
    pub fn admitted(&self) -> (usize, usize) {
        let v4 = self.admitted_prefixes().filter(|prefix| prefix.addr().is_ipv4()).count();
        (v4, self.admitted_prefixes().count() - v4)
    }

    /// How many prefixes drain.
    #[must_use]
    pub fn draining(&self) -> usize {
        self.entries().iter().filter(|(_, entry)| *entry != Prefix::ADMITTED).count()
    }
}

impl PartialEq for Admission {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

impl Eq for Admission {}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

/// What fits the maps: where a family has too many, those that drain soonest are left out.
/// Admitted prefixes come first and were counted when they were read.
fn fitting(mut entries: Vec<(IpNet, Prefix)>) -> Vec<(IpNet, Prefix)> {
    entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.drains_until));
    let mut held = [0; 2];
    entries.retain(|(prefix, _)| {
        let held = &mut held[usize::from(prefix.addr().is_ipv6())];
        *held += 1;
        *held <= MAX_PREFIXES
    });
    entries
}

/// Seconds of the monotonic clock, as the packet path reads it.
#[must_use]
pub fn monotonic_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::MonotonicCoarse).tv_sec).unwrap_or(0)
}
