//! The admitted set: it decides the standing of source addresses, and is the content of the packet
//! path's maps.

#[cfg(test)]
mod tests;

use std::{cmp::Reverse, fmt, net::IpAddr, sync::Arc, time::Duration};

use aop_common::{
    Standing,
    layout::{MAX_PREFIXES, Prefix},
};
use ipnet::IpNet;
use prefix_trie::joint::{JointPrefixMap, JointPrefixSet};

/// The admitted prefixes, and those that have left the list and still drain. Cheap to clone.
#[derive(Clone, Default)]
pub struct Admission(Arc<Entries>);

/// The same entries twice: as a sorted list, and as a trie for lookups.
#[derive(Default)]
struct Entries {
    sorted: Vec<(IpNet, Prefix)>,
    trie: JointPrefixMap<IpNet, Prefix>,
}

impl Admission {
    /// A set from entries in any order. Of two entries for one prefix the last one counts, as in
    /// the packet path's maps.
    #[must_use]
    pub fn from_entries(entries: Vec<(IpNet, Prefix)>) -> Self {
        let trie: JointPrefixMap<IpNet, Prefix> = entries.into_iter().collect();
        let sorted = trie.iter().map(|(prefix, entry)| (prefix, *entry)).collect();
        Self(Arc::new(Entries { sorted, trie }))
    }

    /// The set that follows `self` when the list becomes `admitted`. A prefix that is no longer on
    /// the list drains for `drain` from `now` (seconds of the monotonic clock). A prefix that
    /// drains already keeps its deadline, unless the new one is earlier.
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
            // The longest match decides, so a draining prefix must not lie inside an admitted one.
            if u64::from(drains_until) > now && !listed.is_covered(prefix) {
                entries.push((*prefix, Prefix { drains_until }));
            }
        }
        Self::from_entries(keep_what_fits(entries))
    }

    /// The set without `prefixes`. They do not drain either.
    #[must_use]
    pub fn without(&self, prefixes: &[IpNet]) -> Self {
        if prefixes.is_empty() {
            return self.clone();
        }
        let others = self.entries().iter().filter(|(prefix, _)| !prefixes.contains(prefix));
        Self::from_entries(others.copied().collect())
    }

    /// The standing of `source` at `now`, by longest prefix match.
    #[must_use]
    pub fn standing(&self, source: IpAddr, now: u64) -> Standing {
        self.longest(source).map_or(Standing::Unknown, |(_, entry)| entry.standing(|| now))
    }

    /// The longest prefix that contains `source`.
    #[must_use]
    pub fn longest(&self, source: IpAddr) -> Option<(IpNet, Prefix)> {
        self.0.trie.get_lpm(&IpNet::from(source)).map(|(prefix, entry)| (prefix, *entry))
    }

    /// The entries for the packet path's maps: sorted, each prefix once.
    #[must_use]
    pub fn entries(&self) -> &[(IpNet, Prefix)] {
        &self.0.sorted
    }

    /// The admitted prefixes, sorted.
    pub fn admitted_prefixes(&self) -> impl Iterator<Item = IpNet> {
        let admitted = self.entries().iter().filter(|(_, entry)| *entry == Prefix::ADMITTED);
        admitted.map(|(prefix, _)| *prefix)
    }

    /// The number of admitted IPv4 and IPv6 prefixes.
    #[must_use]
    pub fn admitted(&self) -> (usize, usize) {
        let v4 = self.admitted_prefixes().filter(|prefix| prefix.addr().is_ipv4()).count();
        (v4, self.admitted_prefixes().count() - v4)
    }

    /// The number of draining prefixes.
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

/// The entries that fit into the maps. If a family has too many, those with the earliest deadline
/// are left out. Admitted prefixes come first; their number was checked when the list was read.
fn keep_what_fits(mut entries: Vec<(IpNet, Prefix)>) -> Vec<(IpNet, Prefix)> {
    entries.sort_by_key(|(_, entry)| Reverse(entry.drains_until));
    let (mut v4, mut v6) = (0, 0);
    entries.retain(|(prefix, _)| {
        let count = if prefix.addr().is_ipv4() { &mut v4 } else { &mut v6 };
        *count += 1;
        *count <= MAX_PREFIXES
    });
    entries
}
