//! A table over the first 32 bits of a source address. For most sources it answers what the prefix
//! trie would answer, in a third of the time.
//!
//! A block has an entry for each value of one byte. The first byte of the address chooses one of
//! the 256 root blocks of its set and family, the second byte an entry in it. An entry answers, or
//! names the block for the next byte. The trie decides where no entry can answer: for prefixes that
//! drain, for IPv6 prefixes longer than 32 bits, and where no block is free.

use crate::{Address, AddressFamily, layout::PrefixSet};

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
