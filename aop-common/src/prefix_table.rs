//! A table over the first 32 bits of a source address, which answers for most sources what a prefix
//! trie would, in a third of the time.
//!
//! A block has an entry for each value of one byte. The first two bytes lead to an entry of one of
//! the set's 256 root blocks of the family; an entry answers, or names the block for the next byte.
//! What no entry can answer is left to the trie, which is the truth: prefixes that drain, IPv6
//! prefixes longer than 32 bits, and whatever finds no free block.

use crate::{Address, AddressFamily, layout::PrefixSet};

/// Blocks of the whole table: roots of two sets of two families, then those of each set.
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

/// No prefix lies here.
pub const UNKNOWN: u16 = 0;
/// Every address here is admitted.
pub const ADMITTED: u16 = 1;
/// The trie knows.
pub const ASK: u16 = 2;

impl Block {
    /// All entries alike.
    #[must_use]
    pub const fn all(entry: u16) -> Self {
        Self([entry; 256])
    }
}

/// What the table says of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableLookup {
    /// Its longest prefix is admitted.
    Admitted,
    /// No prefix matches.
    Unknown,
    /// The trie is to be asked.
    AskTrie,
}

/// The number of the root block for addresses of this family that begin with `first`.
#[inline(always)]
#[must_use]
pub const fn root(set: PrefixSet, family: AddressFamily, first: u8) -> u32 {
    let quarter = set.index() << 1 | family as u32;
    quarter << 8 | first as u32
}

/// The number of the first further block of a set.
#[must_use]
pub const fn first_block(set: PrefixSet) -> u32 {
    match set {
        PrefixSet::A => ALL_ROOTS,
        PrefixSet::B => ALL_ROOTS + ROOM,
    }
}

/// Looks `source` up. `entry` reads an entry of a block by the block's number and the byte.
#[inline(always)]
pub fn look_up(
    set: PrefixSet,
    source: Address,
    entry: impl Fn(u32, u8) -> Option<u16>,
) -> TableLookup {
    let (family, [first, second, third, fourth]) = match source {
        Address::V4(address) => (AddressFamily::V4, address),
        Address::V6([a, b, c, d, ..]) => (AddressFamily::V6, [a, b, c, d]),
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
