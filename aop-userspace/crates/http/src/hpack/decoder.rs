//! The decoder (RFC 7541, 3.2 and 6).

use super::table::{Name, Table};
use super::wire::Input;
use super::{HpackError, INITIAL_TABLE, predefined};
use crate::fields::Field;

/// Memory for strings that the decoder keeps between two blocks.
const KEPT: usize = 4096;

/// The state of the peer's header compression.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// Our SETTINGS_HEADER_TABLE_SIZE.
    max_table: usize,
    /// The name and the value of a field, where they have the Huffman code.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Whether a literal becomes an entry of the dynamic table.
#[derive(Clone, Copy)]
enum Indexing {
    Incremental,
    None,
}

impl Decoder {
    /// A decoder for a connection on which we announced `max_table` as SETTINGS_HEADER_TABLE_SIZE.
    /// Its table starts with the initial size: the peer writes blocks before it knows our
    /// settings, and announces its change of the size in a block.
    #[must_use]
    pub fn new(max_table: usize) -> Self {
        Self { table: Table::new(INITIAL_TABLE), max_table, name: Vec::new(), value: Vec::new() }
    }

    /// Decodes a whole header block. `each` gets every field in order, unchecked. A block can
    /// repeat a long field in a byte: `each` stops storing at a limit, and must not panic.
    ///
    /// # Errors
    /// [`HpackError`]. The state is lost: the caller ends the connection with COMPRESSION_ERROR.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let mut input = Input::new(block);
        while let Some(0x20..=0x3f) = input.peek() {
            self.update(input.integer(5)?)?;
        }
        while let Some(first) = input.peek() {
            match first {
                0x80.. => each(self.field(input.integer(7)?)?),
                0x40..=0x7f => self.literal(&mut input, 6, Indexing::Incremental, &mut each)?,
                0x20..=0x3f => return Err(HpackError::UpdateMisplaced),
                0x00..=0x1f => self.literal(&mut input, 4, Indexing::None, &mut each)?,
            }
        }
        for text in [&mut self.name, &mut self.value] {
            if text.len() > KEPT {
                *text = Vec::new();
            }
        }
        Ok(())
    }

    /// A dynamic table size update (RFC 7541, 6.3).
    fn update(&mut self, max: usize) -> Result<(), HpackError> {
        if max > self.max_table {
            return Err(HpackError::UpdateTooLarge);
        }
        self.table.set_max(max);
        Ok(())
    }

    /// The field at `index` of both tables (RFC 7541, 2.3.3).
    fn field(&self, index: usize) -> Result<Field<'_>, HpackError> {
        let field = match index.checked_sub(predefined::LAST + 1) {
            None => predefined::get(index),
            Some(index) => self.table.get(index),
        };
        field.ok_or(HpackError::Index)
    }

    /// A literal, whose index has a prefix of `prefix` bits (RFC 7541, 6.2).
    fn literal(
        &mut self,
        input: &mut Input<'_>,
        prefix: u32,
        indexing: Indexing,
        each: &mut impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let Self { table, name, value, .. } = self;
        let index = input.integer(prefix)?;
        let name = match (index.checked_sub(predefined::LAST + 1), predefined::get(index)) {
            (Some(index), _) => Name::Entry(index),
            (None, Some(field)) => Name::Text(field.name),
            (None, None) => Name::Text(input.string(name)?),
        };
        let value = input.string(value)?;
        each(Field { name: table.name(name).ok_or(HpackError::Index)?, value });
        match indexing {
            Indexing::Incremental => table.insert(name, value),
            Indexing::None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;

    #[test]
    fn memory_for_short_strings_is_kept() {
        let mut decoder = Decoder::new(4096);
        // The space for a Huffman string is an upper bound of its length.
        for (length, kept) in [(100, true), (4094, true), (4095, false), (10_000, false)] {
            let mut block = vec![0, 1, b'x'];
            wire::string(&mut block, &vec![b'0'; length]);
            decoder.decode(&block, |field| assert_eq!(field.value.len(), length)).unwrap();
            assert_eq!(decoder.value.capacity() > 0, kept, "{length}");
        }
    }
}
