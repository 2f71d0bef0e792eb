//! The dynamic table (RFC 7541, 2.3.2): the fields that both sides remember, the newest first.
//!
//! The text of all entries is in one buffer, in order. Eviction forgets an entry and leaves its
//! text; when the buffer reaches twice the table's size, the live text moves to its front. So an
//! entry costs no allocation, and every field is one slice.

use std::collections::VecDeque;
use std::ops::Range;

use crate::fields::Field;

/// The addition to the size of each entry (RFC 7541, 4.1).
const OVERHEAD: usize = 32;

/// A dynamic table. It allocates at the first entry.
#[derive(Debug)]
pub(super) struct Table {
    text: Vec<u8>,
    /// The newest is at the front.
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

/// Each entry is a name, followed by its value.
#[derive(Debug)]
struct Entry {
    start: usize,
    name: usize,
    value: usize,
}

/// The name of a new entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    /// Given as text.
    Text(&'a [u8]),
    /// The name of the entry with this index, from 0 on.
    Entry(usize),
}

/// The size of an entry (RFC 7541, 4.1).
pub(super) const fn size(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + OVERHEAD
}

impl Table {
    /// An empty table that may become `max` bytes large.
    pub(super) fn new(max: usize) -> Self {
        Self { text: Vec::new(), entries: VecDeque::new(), size: 0, max }
    }

    /// The size that it may reach.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Changes the size that it may reach (RFC 7541, 4.3).
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
        self.evict();
    }

    /// The entry at `index`, from 0 on.
    pub(super) fn get(&self, index: usize) -> Option<Field<'_>> {
        let entry = self.entries.get(index)?;
        Some(Field { name: &self.text[entry.name()], value: &self.text[entry.value()] })
    }

    /// The text of `name`.
    pub(super) fn name<'a>(&'a self, name: Name<'a>) -> Option<&'a [u8]> {
        match name {
            Name::Text(text) => Some(text),
            Name::Entry(index) => self.get(index).map(|field| field.name),
        }
    }

    /// Adds a field and evicts the oldest entries (RFC 7541, 4.4). The name may be that of an entry
    /// that leaves the table. A field that is too large empties the table, and is no entry.
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8]) {
        let Some(text) = self.name(name) else { return };
        let (size, name_length) = (size(text, value), text.len());
        if size > self.max {
            self.clear();
            return;
        }
        if self.text.len() + size > 2 * self.max {
            self.compact();
        }
        let start = self.text.len();
        match name {
            Name::Text(text) => self.text.extend_from_slice(text),
            Name::Entry(index) => self.text.extend_from_within(self.entries[index].name()),
        }
        self.text.extend_from_slice(value);
        self.entries.push_front(Entry { start, name: name_length, value: value.len() });
        self.size += size;
        self.evict();
    }

    fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.size = 0;
    }

    fn evict(&mut self) {
        while self.size > self.max {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.name + oldest.value + OVERHEAD;
        }
    }

    /// Removes the text that is before the oldest entry.
    fn compact(&mut self) {
        let dead = self.entries.back().map_or(self.text.len(), |oldest| oldest.start);
        self.text.drain(..dead);
        for entry in &mut self.entries {
            entry.start -= dead;
        }
    }
}

impl Entry {
    fn name(&self) -> Range<usize> {
        self.start..self.start + self.name
    }

    fn value(&self) -> Range<usize> {
        let start = self.start + self.name;
        start..start + self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_may_take_its_name_from_the_entry_that_it_evicts() {
        let mut table = Table::new(size(b"name", b"12"));
        table.insert(Name::Text(b"name"), b"1");
        for value in [b"2", b"3", b"4", b"5", b"6"] {
            table.insert(Name::Entry(0), value);
            assert_eq!(table.get(0), Some(Field { name: b"name", value }));
            assert_eq!(table.get(1), None);
        }
    }

    #[test]
    fn an_entry_may_fill_the_table() {
        let mut table = Table::new(size(b"name", b"12"));
        table.insert(Name::Text(b"name"), b"12");
        assert_eq!(table.get(0), Some(Field { name: b"name", value: b"12" }));
        table.insert(Name::Text(b"name"), b"123");
        assert_eq!(table.get(0), None);
    }

    #[test]
    fn the_text_of_evicted_entries_is_removed_when_the_buffer_is_full() {
        let mut table = Table::new(100);
        for number in 1..=84 {
            table.insert(Name::Text(b"n"), b"v");
            assert_eq!((table.text.len(), table.entries.len()), (2 * number, number.min(2)));
        }
        // The next entry counts 34 bytes, beyond twice the size.
        table.insert(Name::Text(b"n"), b"v");
        assert_eq!((table.text.len(), table.entries.len()), (6, 2));
    }

    #[test]
    fn the_buffer_stays_below_twice_the_size() {
        let mut table = Table::new(500);
        for number in 0..1000_u32 {
            let value = number.to_string().repeat(1 + number as usize % 40);
            table.insert(Name::Text(b"n"), value.as_bytes());
            assert!(table.text.len() <= 1000 && table.size <= 500);
            assert_eq!(table.get(0).unwrap().value, value.as_bytes());
        }
    }

    #[test]
    fn a_field_above_the_size_empties_the_table() {
        let mut table = Table::new(64);
        table.insert(Name::Text(b"a"), b"b");
        table.insert(Name::Text(b"a"), &[b'x'; 32]);
        assert_eq!((table.get(0), table.size), (None, 0));
        table.set_max(0);
        table.insert(Name::Text(b""), b"");
        assert_eq!(table.get(0), None);
    }
}
