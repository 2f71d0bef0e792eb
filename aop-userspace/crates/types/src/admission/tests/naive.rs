//! Compares the set with its definition, entry by entry, over a sequence of lists.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use aop_common::layout::Prefix;
use ipnet::IpNet;
use proptest::{collection::vec, prelude::*};

use super::super::Admission;

/// The definition of the set: a map from prefix to entry, searched linearly.
#[derive(Default)]
struct Naive(BTreeMap<IpNet, Prefix>);

impl Naive {
    fn followed_by(&self, admitted: &[IpNet], drain: Duration, now: u64) -> Self {
        let end = u32::try_from(now + drain.as_secs()).expect("a near end");
        let mut next: BTreeMap<IpNet, Prefix> =
            admitted.iter().map(|prefix| (*prefix, Prefix::ADMITTED)).collect();
        for (prefix, entry) in &self.0 {
            let drains_until = entry.drains_until.min(end);
            let covered = admitted.iter().any(|wider| wider.contains(prefix));
            if !covered && u64::from(drains_until) > now {
                next.insert(*prefix, Prefix { drains_until });
            }
        }
        Self(next)
    }

    fn longest(&self, source: IpAddr) -> Option<(IpNet, Prefix)> {
        let matching = self.0.iter().filter(|(prefix, _)| prefix.contains(&source));
        matching.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(net, entry)| (*net, *entry))
    }
}

/// Addresses of both families in which only a few high and low bits vary, so that prefixes overlap.
fn source() -> impl Strategy<Value = IpAddr> {
    let bits = (0u32..4, 0u32..4, any::<bool>());
    bits.prop_map(|(high, low, v4)| match v4 {
        true => IpAddr::V4((8 << 24 | high << 22 | low).into()),
        false => IpAddr::V6((0x26 << 120 | u128::from(high) << 96 | u128::from(low)).into()),
    })
}

fn prefix() -> impl Strategy<Value = IpNet> {
    let lengths = prop_oneof![0u8..=4, 8u8..=12, 28u8..=34, 96u8..=98, 125u8..=128];
    (source(), lengths).prop_map(|(source, length)| {
        let most = if source.is_ipv4() { 32 } else { 128 };
        IpNet::new(source, length.min(most)).expect("a length of its family").trunc()
    })
}

proptest! {
    #[test]
    fn a_sequence_of_lists_leaves_the_set_of_the_definition(
        lists in vec((vec(prefix(), 0..12), 0u64..100, 0u64..60), 1..6),
        sources in vec(source(), 16),
    ) {
        let (mut set, mut naive, mut now) = (Admission::default(), Naive::default(), 1000);
        for (list, drain, passed) in lists {
            now += passed;
            let drain = Duration::from_secs(drain);
            set = set.followed_by(&list, drain, now);
            naive = naive.followed_by(&list, drain, now);
            let owed: Vec<(IpNet, Prefix)> = naive.0.iter().map(|(net, it)| (*net, *it)).collect();
            prop_assert_eq!(set.entries(), owed);
            prop_assert_eq!(&Admission::from_entries(set.entries().to_vec()), &set);
            for source in &sources {
                let longest = naive.longest(*source);
                prop_assert_eq!(set.longest(*source), longest);
                for then in [now, now + 50, now + 1000] {
                    let standing = longest.map_or(aop_common::Standing::Unknown, |(_, entry)| {
                        entry.standing(|| then)
                    });
                    prop_assert_eq!(set.standing(*source, then), standing);
                }
            }
        }
    }
}
