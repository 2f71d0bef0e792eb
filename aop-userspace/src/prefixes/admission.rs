//! The set that judges source addresses, in the form that the packet path holds it.

use std::{net::IpAddr, time::Duration};

use aop_common::{
    Standing,
    layout::{MAX_PREFIXES, Prefix},
};
use ipnet::IpNet;
use rustix::time::{ClockId, clock_gettime};

/// Every prefix that counts: admitted ones, and those that left the list and drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    entries: Vec<(IpNet, Prefix)>,
}

impl Admission {
    /// A set that was written earlier.
    #[must_use]
    pub fn from_entries(entries: Vec<(IpNet, Prefix)>) -> Self {
        Self { entries }
    }

    /// The set that follows `self` when the list becomes `admitted`: what is no longer on it
    /// drains for `drain` from `now` (seconds of the monotonic clock), what drains already goes on
    /// to its own end.
    #[must_use]
    pub fn followed_by(&self, admitted: &[IpNet], drain: Duration, now: u64) -> Self {
        let until = u32::try_from(now.saturating_add(drain.as_secs()))
            .unwrap_or(u32::MAX)
            .min(Prefix::ADMITTED.drains_until - 1);
        let mut entries: Vec<(IpNet, Prefix)> =
            admitted.iter().map(|prefix| (*prefix, Prefix::ADMITTED)).collect();
        for (prefix, entry) in &self.entries {
            let drains_until =
                if *entry == Prefix::ADMITTED { until } else { entry.drains_until.min(until) };
            // The longest match decides, so a draining prefix must never lie inside an admitted one.
            let covered = admitted.iter().any(|wider| wider.contains(prefix));
            if !covered && u64::from(drains_until) > now {
                entries.push((*prefix, Prefix { drains_until }));
            }
        }
        Self { entries: fitting(entries) }
    }

    /// How `source` stands at `now`, by the longest prefix that matches.
    #[must_use]
    pub fn standing(&self, source: IpAddr, now: u64) -> Standing {
        self.longest(source).map_or(Standing::Unknown, |(_, entry)| entry.standing(|| now))
    }

    /// The longest prefix that `source` lies in.
    #[must_use]
    pub fn longest(&self, source: IpAddr) -> Option<(IpNet, Prefix)> {
        self.entries
            .iter()
            .filter(|(prefix, _)| prefix.contains(&source))
            .max_by_key(|(prefix, _)| prefix.prefix_len())
            .copied()
    }

    /// The entries, for the packet path's maps.
    #[must_use]
    pub fn entries(&self) -> &[(IpNet, Prefix)] {
        &self.entries
    }

    /// The admitted prefixes.
    pub fn admitted_prefixes(&self) -> impl Iterator<Item = IpNet> {
        let admitted = self.entries.iter().filter(|(_, entry)| *entry == Prefix::ADMITTED);
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
        self.entries.iter().filter(|(_, entry)| *entry != Prefix::ADMITTED).count()
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|text| text.parse().expect("a CIDR")).collect()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn list(list: &[&str]) -> Admission {
        Admission::default().followed_by(&nets(list), HOUR, 0)
    }

    #[test]
    fn nobody_is_admitted_by_an_empty_set() {
        assert_eq!(Admission::default().standing(address("192.0.2.1"), 0), Standing::Unknown);
    }

    #[test]
    fn a_prefix_that_leaves_the_list_drains_and_then_is_unknown() {
        let after = list(&["192.0.2.0/24"]).followed_by(&nets(&["198.51.100.0/24"]), HOUR, 100);
        let peer = address("192.0.2.1");
        assert_eq!(after.standing(peer, 100), Standing::Draining);
        assert_eq!(after.standing(peer, 3699), Standing::Draining);
        assert_eq!(after.standing(peer, 3700), Standing::Unknown);
        assert_eq!(after.standing(address("198.51.100.1"), 9999), Standing::Admitted);
    }

    #[test]
    fn a_second_change_does_not_lengthen_the_draining() {
        let first = list(&["192.0.2.0/24"]).followed_by(&[], HOUR, 100);
        let second = first.followed_by(&[], HOUR, 2000);
        assert_eq!(second.standing(address("192.0.2.1"), 3700), Standing::Unknown);
        assert_eq!(second.followed_by(&[], HOUR, 3700).entries(), []);
    }

    #[test]
    fn a_shorter_draining_time_shortens_what_drains_already() {
        let first = list(&["192.0.2.0/24"]).followed_by(&[], HOUR, 100);
        let second = first.followed_by(&[], Duration::ZERO, 200);
        assert_eq!(second.standing(address("192.0.2.1"), 200), Standing::Unknown);
    }

    #[test]
    fn what_drains_makes_room_where_a_list_is_replaced_by_another_as_long() {
        let list = |third: u8| -> Vec<IpNet> {
            let net = |n: usize| IpNet::new([10, third, (n >> 8) as u8, n as u8].into(), 32);
            (0..MAX_PREFIXES * 3 / 4).map(|n| net(n).expect("a CIDR")).collect()
        };
        let old = Admission::default().followed_by(&list(1), HOUR, 0);
        let new = old.followed_by(&list(2), HOUR, 0);
        assert_eq!(new.entries().len(), MAX_PREFIXES);
        assert_eq!(new.admitted().0, MAX_PREFIXES * 3 / 4);
    }

    #[test]
    fn a_prefix_that_comes_back_is_admitted_at_once() {
        let gone = list(&["192.0.2.0/24"]).followed_by(&[], HOUR, 100);
        let back = gone.followed_by(&nets(&["192.0.0.0/16"]), HOUR, 200);
        assert_eq!(back.standing(address("192.0.2.1"), 200), Standing::Admitted);
        assert_eq!(back.draining(), 0);
    }

    #[test]
    fn an_admitted_prefix_inside_a_draining_one_stays_admitted() {
        let after = list(&["192.0.0.0/16"]).followed_by(&nets(&["192.0.2.0/24"]), HOUR, 100);
        assert_eq!(after.standing(address("192.0.2.1"), 100), Standing::Admitted);
        assert_eq!(after.standing(address("192.0.3.1"), 100), Standing::Draining);
    }
}
