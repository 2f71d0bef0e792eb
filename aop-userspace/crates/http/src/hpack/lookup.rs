//! A quick search for entries of the encoder's dynamic table, by hash.
//!
//! Each hash selects a group of four slots. A slot names an entry by its number; a full group gives
//! up its oldest entry. A slot whose entry has left the table, or a hash that two entries share, is
//! harmless: the search compares the entry itself. So a peer that provokes collisions costs four
//! comparisons, and compression.

use super::table::Table;
use crate::fields::Field;

const GROUP: usize = 4;
const SLOTS: usize = 64 * GROUP;

/// The slots. It allocates at the first entry.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    slots: Vec<Slot>,
    /// The number of the newest entry. It wraps. The first entry has number 1, so that a slot
    /// that was never used is older.
    newest: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    tag: u16,
    entry: u16,
}

impl Lookup {
    /// The index in `table`, from 0 on, of an entry with this hash that is `same`.
    pub(super) fn find(
        &self,
        hash: u64,
        table: &Table,
        same: impl Fn(Field<'_>) -> bool,
    ) -> Option<usize> {
        let group = self.slots.get(group(hash)..)?.first_chunk::<GROUP>()?;
        let tagged = group.iter().filter(|slot| slot.tag == tag(hash));
        let mut indices = tagged.map(|slot| usize::from(self.index(*slot)));
        indices.find(|index| table.get(*index).is_some_and(&same))
    }

    /// Adds the entry that the table has just got, under its hashes.
    pub(super) fn add(&mut self, hashes: [u64; 2]) {
        self.slots.resize(SLOTS, Slot::default());
        self.newest = self.newest.wrapping_add(1);
        for hash in hashes {
            let start = group(hash);
            let index = |at: &usize| match self.slots[*at] {
                slot if slot.tag == tag(hash) => u16::MAX,
                slot => self.index(slot),
            };
            let oldest = (start..start + GROUP).max_by_key(index).unwrap_or(start);
            self.slots[oldest] = Slot { tag: tag(hash), entry: self.newest };
        }
    }

    /// The newest entry has index 0.
    fn index(&self, slot: Slot) -> u16 {
        self.newest.wrapping_sub(slot.entry)
    }
}

const fn group(hash: u64) -> usize {
    (hash >> 58) as usize * GROUP
}

const fn tag(hash: u64) -> u16 {
    (hash >> 32) as u16
}

/// A hash of `text`, and of all that `seed` is a hash of.
pub(super) const fn hash(text: &[u8], seed: u64) -> u64 {
    let mut hash = mix(seed, text.len() as u64);
    let mut rest = text;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        hash = mix(hash, u64::from_le_bytes(*chunk));
        rest = after;
    }
    // The last word may repeat bytes of the one before it.
    if let Some(chunk) = text.last_chunk::<8>() {
        return mix(hash, u64::from_le_bytes(*chunk));
    }
    let mut tail = 0;
    while let Some((byte, after)) = rest.split_first() {
        tail = tail << 8 | *byte as u64;
        rest = after;
    }
    mix(hash, tail)
}

/// The odd factor spreads each bit upwards: the upper bits are the ones to use.
const fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::super::table::Name;
    use super::super::{Decoder, Encoder};
    use super::*;

    #[test]
    fn a_group_keeps_its_four_newest_entries() {
        let mut table = Table::new(4096);
        let mut lookup = Lookup::default();
        // All hashes select one group.
        let hash_of = |value: u8| u64::from(value) << 32;
        for value in 1..=100 {
            table.insert(Name::Text(b"n"), &[value]);
            lookup.add([hash_of(value), hash_of(value)]);
            for index in 0..usize::from(value).min(GROUP + 1) {
                let old = value - index as u8;
                let found = lookup.find(hash_of(old), &table, |field| field.value == [old]);
                assert_eq!(found, (index < GROUP).then_some(index), "{old} after {value}");
            }
        }
    }

    #[test]
    fn fields_with_the_same_value_and_the_same_slot_are_told_apart() {
        let mut seen = std::collections::HashMap::new();
        let mut collisions = 0;
        for number in 0..10_000 {
            let name = format!("x-{number}");
            let hash = hash(b"value", hash(name.as_bytes(), 0));
            let Some(other) = seen.insert((group(hash), tag(hash)), name.clone()) else { continue };
            collisions += 1;
            let (mut encoder, mut block) = (Encoder::new(), Vec::new());
            for name in [&other, &name] {
                encoder.field(&mut block, name.as_bytes(), b"value");
            }
            let mut names = Vec::new();
            let each = |field: Field<'_>| names.push(field.name.to_vec());
            Decoder::new(4096).decode(&block, each).unwrap();
            assert_eq!(names, [other.into_bytes(), name.into_bytes()]);
        }
        assert!(collisions > 0);
    }

    #[test]
    fn each_byte_of_a_text_has_a_part_in_its_hash() {
        for length in 1..=24 {
            let text = vec![b'a'; length];
            for place in 0..length {
                let mut other = text.clone();
                other[place] = b'b';
                assert_ne!(hash(&text, 0), hash(&other, 0), "byte {place} of {length}");
            }
        }
    }

    #[test]
    fn entries_are_found_by_name_and_by_name_and_value() {
        let mut table = Table::new(4096);
        let mut lookup = Lookup::default();
        let mut missed = 0;
        for number in 0..70_000_u32 {
            let (name, value) = (format!("x-name-{}", number % 20), number.to_string());
            let name_hash = hash(name.as_bytes(), 0);
            let full_hash = hash(value.as_bytes(), name_hash);
            table.insert(Name::Text(name.as_bytes()), value.as_bytes());
            lookup.add([name_hash, full_hash]);
            let same = |field: Field<'_>| field.value == value.as_bytes();
            assert_eq!(lookup.find(full_hash, &table, same), Some(0));
            let old = number.saturating_sub(10);
            let name = format!("x-name-{}", old % 20);
            let hash = hash(old.to_string().as_bytes(), hash(name.as_bytes(), 0));
            let same = |field: Field<'_>| field.value == old.to_string().as_bytes();
            missed += u32::from(lookup.find(hash, &table, same).is_none());
        }
        assert!(missed < 700, "{missed} of 70000");
    }
}
