//! A table over the first 32 bits of a source address. For most sources it answers what the prefix
//! trie would answer, in a third of the time.
//!
//! A block has an entry for each value of one byte. The first byte of the address chooses one of
//! the 256 root blocks of its set and family, the second byte an entry in it. An entry answers, or
//! names the block for the next byte. The trie decides where no entry can answer: for prefixes that
//! drain, for IPv6 prefixes longer than 32 bits, and where no block is free.

use crate::{
    Address, AddressFamily,
    layout::{PrefixSet, quarters},
};

/// Blocks of the whole table: the roots of two sets and two families, then further blocks of each
/// set.
pub const BLOCKS: u32 = 8192;
/// Root blocks of one family in one set: one for each first byte.
pub const ROOTS: u32 = 256;
/// All root blocks.
const ALL_ROOTS: u32 = 4 * ROOTS;
/// Further blocks of one set.
pub const ROOM: u32 = (BLOCKS - ALL_ROOTS) / 2;

/// Entries by one byte of the address. An entry is [`UNKNOWN`], [`ADMITTED`], [`ASK`], or the
/// number of the block for the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Block(pub [u16; 256]);

/// No prefix matches the addresses here.
pub const UNKNOWN: u16 = 0;
/// Every address here is admitted.
pub const ADMITTED: u16 = 1;
/// The trie decides.
pub const ASK: u16 = 2;

impl Block {
    /// A block in which all entries are the same.
    #[must_use]
    pub const fn all(entry: u16) -> Self {
        Self([entry; 256])
    }
}

/// The answer of the table about a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableLookup {
    /// Its longest prefix is admitted.
    Admitted,
    /// No prefix matches.
    Unknown,
    /// The trie decides.
    AskTrie,
}

/// The number of the root block for addresses of this family that begin with `first`.
#[inline(always)]
#[must_use]
pub const fn root(set: PrefixSet, family: AddressFamily, first: u8) -> u32 {
    let quarter = set.index().wrapping_mul(2).wrapping_add(family as u32);
    quarter.wrapping_mul(ROOTS).wrapping_add(first as u32)
}

/// The number of the first further block of a set.
#[must_use]
pub const fn first_block(set: PrefixSet) -> u32 {
    match set {
        PrefixSet::A => ALL_ROOTS,
        PrefixSet::B => ALL_ROOTS + ROOM,
    }
}

/// Looks `source` up in `set`. `entry` reads an entry, by the number of its block and the byte.
#[inline(always)]
pub fn look_up(
    set: PrefixSet,
    source: Address,
    entry: impl Fn(u32, u8) -> Option<u16>,
) -> TableLookup {
    let (family, [first, second, third, fourth]) = match source {
        Address::V4(address) => (AddressFamily::V4, address),
        Address::V6(address) => {
            let [beginning, ..] = quarters(address);
            (AddressFamily::V6, beginning.to_ne_bytes())
        }
    };
    let mut found = entry(root(set, family, first), second).unwrap_or(ASK);
    if found > ASK {
        found = entry(u32::from(found), third).unwrap_or(ASK);
    }
    if found > ASK {
        found = entry(u32::from(found), fourth).unwrap_or(ASK);
    }
    match found {
        UNKNOWN => TableLookup::Unknown,
        ADMITTED => TableLookup::Admitted,
        _ => TableLookup::AskTrie,
    }
}

const _: () = assert!(BLOCKS <= u16::MAX as u32 && size_of::<Block>() == 512);

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Address = Address::V4([192, 0, 2, 1]);
    const ANSWERS: [(u16, TableLookup); 3] = [
        (UNKNOWN, TableLookup::Unknown),
        (ADMITTED, TableLookup::Admitted),
        (ASK, TableLookup::AskTrie),
    ];

    #[test]
    fn every_block_is_either_one_root_or_a_further_block_of_one_set() {
        let mut uses = [0; BLOCKS as usize];
        for set in PrefixSet::BOTH {
            for family in AddressFamily::BOTH {
                (0..=u8::MAX).for_each(|first| uses[root(set, family, first) as usize] += 1);
            }
            (0..ROOM).for_each(|at| uses[(first_block(set) + at) as usize] += 1);
        }
        assert!(uses.iter().all(|uses| *uses == 1));
    }

    #[test]
    fn a_source_is_found_by_each_of_its_first_four_bytes_its_family_and_its_set() {
        let admitting = |family| {
            move |block, byte| {
                Some(match (block, byte) {
                    (block, 0) if block == root(PrefixSet::A, family, 192) => 3000,
                    (3000, 2) => 3001,
                    (3001, 1) => ADMITTED,
                    _ => UNKNOWN,
                })
            }
        };
        let look_up = |source: Address, family| look_up(PrefixSet::A, source, admitting(family));
        let v6 = |[a, b, c, d]: [u8; 4]| [a, b, c, d, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
        let Address::V4(found) = SOURCE else { panic!("the source is IPv4") };
        assert_eq!(look_up(found.into(), AddressFamily::V4), TableLookup::Admitted);
        assert_eq!(look_up(v6(found).into(), AddressFamily::V6), TableLookup::Admitted);
        assert_eq!(look_up(v6(found).into(), AddressFamily::V4), TableLookup::Unknown);
        for at in 0..4 {
            let mut other = found;
            other[at] += 1;
            assert_eq!(look_up(other.into(), AddressFamily::V4), TableLookup::Unknown);
            assert_eq!(look_up(v6(other).into(), AddressFamily::V6), TableLookup::Unknown);
        }
        let in_other_set = super::look_up(PrefixSet::B, SOURCE, admitting(AddressFamily::V4));
        assert_eq!(in_other_set, TableLookup::Unknown);
    }

    #[test]
    fn an_entry_that_answers_at_any_depth_ends_the_search() {
        for (answer, expected) in ANSWERS {
            for last in [0, 2, 1] {
                let entry = |block, byte| match (block, byte) {
                    (_, byte) if byte == last => Some(answer),
                    (..3000, 0) => Some(3000),
                    (3000, 2) => Some(3001),
                    further => panic!("{further:?} was read behind the answer {answer}"),
                };
                assert_eq!(look_up(PrefixSet::A, SOURCE, entry), expected, "at byte {last}");
            }
        }
    }

    #[test]
    fn where_an_entry_cannot_be_read_the_trie_decides() {
        for missing in [0, 2, 1] {
            let entry = |_, byte| (byte != missing).then_some(3000);
            assert_eq!(look_up(PrefixSet::B, SOURCE, entry), TableLookup::AskTrie);
        }
    }

    #[test]
    fn a_chain_that_is_longer_than_an_ipv4_address_is_left_to_the_trie() {
        assert_eq!(look_up(PrefixSet::A, SOURCE, |_, _| Some(3000)), TableLookup::AskTrie);
    }
}
