//! The lookup table over source addresses, built from a prefix set.

use std::ops::RangeInclusive;

use aop_common::{
    AddressFamily,
    layout::{Prefix, PrefixSet},
    prefix_table::{ADMITTED, ASK, Block, ROOM, ROOTS, UNKNOWN, first_block, root},
};
use ipnet::IpNet;

/// The blocks of one set: the IPv4 roots, the IPv6 roots, then the others.
pub(super) struct Table {
    set: PrefixSet,
    blocks: Vec<Block>,
}

const ALL_ROOTS: usize = 2 * ROOTS as usize;

impl Table {
    /// The table of a set.
    pub(super) fn of(entries: &[(IpNet, Prefix)], set: PrefixSet) -> Self {
        let mut table = Self { set, blocks: vec![Block::all(UNKNOWN); ALL_ROOTS] };
        let mut entries: Vec<&(IpNet, Prefix)> = entries.iter().collect();
        // Shorter prefixes first: a longer one copies the entry that it refines.
        entries.sort_by_key(|(prefix, _)| prefix.prefix_len());
        for (prefix, entry) in entries {
            table.insert(prefix, if *entry == Prefix::ADMITTED { ADMITTED } else { ASK });
        }
        table
    }

    /// The blocks that differ from those of `before`, with their numbers in the map.
    pub(super) fn unlike(&self, before: Option<&Self>) -> impl Iterator<Item = (u32, &Block)> {
        let before = before.map_or(&[][..], |before| &before.blocks);
        let unlike = |(at, (_, block)): &(usize, (u32, &Block))| before.get(*at) != Some(*block);
        self.blocks().enumerate().filter(unlike).map(|(_, numbered)| numbered)
    }

    /// Every block with its number in the map.
    fn blocks(&self) -> impl Iterator<Item = (u32, &Block)> {
        let roots =
            |family| (0..).take(ROOTS as usize).map(move |at| root(self.set, family, 0) + at);
        let numbers =
            roots(AddressFamily::V4).chain(roots(AddressFamily::V6)).chain(first_block(self.set)..);
        numbers.zip(&self.blocks)
    }

    fn insert(&mut self, prefix: &IpNet, entry: u16) {
        let (family, [first, rest @ ..]) = match prefix {
            IpNet::V4(v4) => (0, v4.network().octets()),
            IpNet::V6(v6) => {
                let [a, b, c, d, ..] = v6.network().octets();
                (1, [a, b, c, d])
            }
        };
        // Prefixes longer than the table's depth are left to the trie.
        let (entry, mut length) = match prefix.prefix_len() {
            length @ 0..=32 => (entry, length),
            33.. => (ASK, 32),
        };
        let root = |first: u8| family * ROOTS as usize + usize::from(first);
        if length <= 8 {
            for first in values(first, length) {
                self.blocks[root(first)] = Block::all(entry);
            }
            return;
        }
        let mut at = root(first);
        for byte in rest {
            length -= 8;
            if length <= 8 {
                for value in values(byte, length) {
                    self.blocks[at].0[usize::from(value)] = entry;
                }
                return;
            }
            match self.below(at, byte) {
                Some(below) => at = below,
                None => return,
            }
        }
    }

    /// The block below that entry; created where there is none. `None` where the trie must be asked
    /// for the whole entry, as when no block is left.
    fn below(&mut self, at: usize, byte: u8) -> Option<usize> {
        let first = first_block(self.set) as usize;
        let made = self.blocks.len() - ALL_ROOTS;
        let entry = self.blocks[at].0[usize::from(byte)];
        match entry {
            ASK => None,
            UNKNOWN | ADMITTED if made == ROOM as usize => {
                self.blocks[at].0[usize::from(byte)] = ASK;
                None
            }
            UNKNOWN | ADMITTED => {
                self.blocks.push(Block::all(entry));
                self.blocks[at].0[usize::from(byte)] = u16::try_from(first + made).unwrap_or(ASK);
                Some(ALL_ROOTS + made)
            }
            number => Some(usize::from(number) - first + ALL_ROOTS),
        }
    }
}

/// The values of a byte whose first `bits` bits (at most eight) equal those of `byte`.
fn values(byte: u8, bits: u8) -> RangeInclusive<u8> {
    byte..=byte | 0xff_u8.checked_shr(bits.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, net::IpAddr, time::Duration};

    use aop_common::{
        Address, Standing,
        prefix_table::{TableLookup, look_up},
    };
    use aop_types::Admission;
    use proptest::prelude::*;

    use super::*;

    fn ask(blocks: &HashMap<u32, Block>, set: PrefixSet, source: IpAddr) -> TableLookup {
        let source = match source {
            IpAddr::V4(v4) => Address::V4(v4.octets()),
            IpAddr::V6(v6) => Address::V6(v6.octets()),
        };
        look_up(set, source, |block, byte| Some(blocks[&block].0[usize::from(byte)]))
    }

    fn table(admission: &Admission, set: PrefixSet) -> HashMap<u32, Block> {
        let table = Table::of(admission.entries(), set);
        table.blocks().map(|(number, block)| (number, *block)).collect()
    }

    /// Prefixes and addresses close to each other.
    fn address() -> impl Strategy<Value = IpAddr> {
        let byte = || prop_oneof![Just(0), Just(10), Just(11), Just(128), any::<u8>()];
        prop_oneof![
            [byte(), byte(), byte(), byte()].prop_map(IpAddr::from),
            [byte(), byte(), byte(), byte(), byte()].prop_map(|[a, b, c, d, e]| IpAddr::from([
                a, b, c, d, e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
            ]))
        ]
    }

    fn prefix() -> impl Strategy<Value = IpNet> {
        (address(), 1..=48u8).prop_map(|(address, length)| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            IpNet::new(address, length.min(most)).expect("a prefix").trunc()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn the_table_never_contradicts_the_set(
            gone in prop::collection::vec(prefix(), 0..8),
            admitted in prop::collection::vec(prefix(), 0..24),
            sources in prop::collection::vec(address(), 64),
            set in prop::sample::select(&PrefixSet::BOTH),
        ) {
            let hour = Duration::from_secs(3600);
            let before = Admission::default().followed_by(&gone, hour, 0);
            let admission = before.followed_by(&admitted, hour, 0);
            let blocks = table(&admission, set);
            for source in sources {
                match (ask(&blocks, set, source), admission.standing(source, 1)) {
                    (TableLookup::AskTrie, _)
                    | (TableLookup::Admitted, Standing::Admitted)
                    | (TableLookup::Unknown, Standing::Unknown) => {}
                    (answer, expected) => {
                        prop_assert!(false, "{source}: {answer:?}, {expected:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_table_holds_the_whole_list_of_cloudflare() {
        let list = aop_prefixes::snapshot().list;
        let admission = Admission::default().followed_by(list.prefixes(), Duration::ZERO, 0);
        let blocks = table(&admission, PrefixSet::B);
        assert!(blocks.values().all(|block| !block.0.contains(&ASK)));
        assert!(blocks.len() < ALL_ROOTS + 64, "{} blocks", blocks.len());
        let (edge, stranger) = (IpAddr::from([173, 245, 48, 1]), IpAddr::from([192, 0, 2, 1]));
        assert_eq!(ask(&blocks, PrefixSet::B, edge), TableLookup::Admitted);
        assert_eq!(ask(&blocks, PrefixSet::B, stranger), TableLookup::Unknown);
    }

    #[test]
    fn without_free_blocks_the_trie_is_asked_and_shorter_prefixes_are_still_answered() {
        let net = |n: u32| IpNet::new(IpAddr::from((n << 16).to_be_bytes()), 24).expect("a CIDR");
        let mut list: Vec<IpNet> = (1 << 8..(1 << 8) + ROOM + 10).map(net).collect();
        list.push("10.0.0.0/15".parse().expect("a CIDR"));
        let admission = Admission::default().followed_by(&list, Duration::ZERO, 0);
        let blocks = table(&admission, PrefixSet::A);
        assert_eq!(blocks.len(), ALL_ROOTS + ROOM as usize);
        assert_eq!(ask(&blocks, PrefixSet::A, IpAddr::from([10, 1, 2, 3])), TableLookup::Admitted);
        let counts = |answer| {
            list.iter().filter(|net| ask(&blocks, PrefixSet::A, net.addr()) == answer).count()
        };
        assert!(counts(TableLookup::AskTrie) > 0 && counts(TableLookup::Unknown) == 0);
    }
}
