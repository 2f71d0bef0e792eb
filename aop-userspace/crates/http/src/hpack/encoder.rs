//! The encoder (RFC 7541, 6).
//!
//! A field becomes an index where a table has it. Otherwise it enters the dynamic table, unless its
//! value rarely repeats or is long: then it would only evict others. Fields that carry secrets are
//! never indexed, and no intermediary may index them (RFC 7541, 7.1.3).

use super::INITIAL_TABLE;
use super::lookup::{Lookup, hash};
use super::predefined as fixed;
use super::table::{Name, Table, size};
use super::wire::{integer, string};
use crate::fields::Field;

/// The state of our header compression.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    lookup: Lookup,
    /// The size of the table from the next block on.
    max: usize,
    /// The smallest size since the last block.
    lowest: usize,
}

/// The representation of a field that no table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Literal {
    /// With incremental indexing (RFC 7541, 6.2.1).
    Indexed,
    /// Without indexing (RFC 7541, 6.2.2).
    Plain,
    /// Never indexed (RFC 7541, 6.2.3).
    Never,
}

/// A cookie that is shorter may be guessed from the size of a block.
const SHORT_COOKIE: usize = 20;

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder whose table has the initial size. It allocates at the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Table::new(INITIAL_TABLE),
            lookup: Lookup::default(),
            max: INITIAL_TABLE,
            lowest: INITIAL_TABLE,
        }
    }

    /// Follows the peer's SETTINGS_HEADER_TABLE_SIZE, up to the initial size.
    pub fn set_max_table(&mut self, bytes: u32) {
        self.max = INITIAL_TABLE.min(bytes as usize);
        self.lowest = self.lowest.min(self.max);
    }

    /// Begins a header block: writes the changes of the table's size (RFC 7541, 4.2).
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        for max in [self.lowest, self.max] {
            if max != self.table.max() {
                self.table.set_max(max);
                integer(out, 0x20, 5, max);
            }
        }
        self.lowest = self.max;
    }

    /// Writes a field. `name` is in lower case.
    pub fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        let name_hash = hash(name, 0);
        let predefined = fixed::find_name(name, name_hash);
        if let Some(index) = predefined.and_then(|first| fixed::find_value(first, value)) {
            return integer(out, 0x80, 7, index);
        }
        let form = self.form(predefined, name, value);
        let Self { table, lookup, .. } = self;
        let full_hash = (form == Literal::Indexed).then(|| hash(value, name_hash));
        let same = |field: Field<'_>| field.name == name && field.value == value;
        if let Some(index) = full_hash.and_then(|hash| lookup.find(hash, table, same)) {
            return integer(out, 0x80, 7, fixed::LAST + 1 + index);
        }
        let index = predefined.or_else(|| {
            let index = lookup.find(name_hash, table, |field| field.name == name)?;
            Some(fixed::LAST + 1 + index)
        });
        match form {
            Literal::Indexed => integer(out, 0x40, 6, index.unwrap_or(0)),
            Literal::Plain => integer(out, 0x00, 4, index.unwrap_or(0)),
            Literal::Never => integer(out, 0x10, 4, index.unwrap_or(0)),
        }
        if index.is_none() {
            string(out, name);
        }
        string(out, value);
        if let Some(full_hash) = full_hash {
            table.insert(Name::Text(name), value);
            lookup.add([name_hash, full_hash]);
        }
    }

    /// Writes `:status`.
    pub fn status(&mut self, out: &mut Vec<u8>, status: u16) {
        let digit = |unit| b'0' + (status / unit % 10) as u8;
        self.field(out, b":status", &[digit(100), digit(10), digit(1)]);
    }

    /// The representation of a field; `predefined` is the index of its name in the static table.
    fn form(&self, predefined: Option<usize>, name: &[u8], value: &[u8]) -> Literal {
        match predefined {
            Some(fixed::AUTHORIZATION | fixed::PROXY_AUTHORIZATION) => Literal::Never,
            Some(fixed::COOKIE | fixed::SET_COOKIE) if value.len() < SHORT_COOKIE => Literal::Never,
            Some(
                fixed::PATH
                | fixed::AGE
                | fixed::CONTENT_LENGTH
                | fixed::CONTENT_RANGE
                | fixed::ETAG
                | fixed::IF_MODIFIED_SINCE
                | fixed::IF_NONE_MATCH
                | fixed::IF_RANGE
                | fixed::LAST_MODIFIED
                | fixed::LOCATION
                | fixed::RANGE
                | fixed::SET_COOKIE,
            ) => Literal::Plain,
            None if is_unique(name) => Literal::Plain,
            _ if size(name, value) > self.table.max() / 4 => Literal::Plain,
            _ => Literal::Indexed,
        }
    }
}

/// Whether each message has another value of the field.
fn is_unique(name: &[u8]) -> bool {
    matches!(name, b"cf-ray" | b"server-timing" | b"traceparent" | b"x-request-id" | b"x-runtime")
}
