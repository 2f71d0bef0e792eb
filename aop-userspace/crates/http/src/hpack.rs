//! Header compression for HTTP/2 (RFC 7541).
//!
//! - [`Decoder`] reads a whole header block and gives each field to its caller. It decides which
//!   blocks are malformed ([`HpackError`]); the caller decides which fields are.
//! - [`Encoder`] writes fields. It decides which ones enter the dynamic table, which ones never
//!   may, and which strings take the Huffman code.
//!
//! Each direction of a connection has a dynamic table of its own, so a block that one side does
//! not decode makes all later blocks unreadable.

mod decoder;
mod encoder;
mod huffman;
mod lookup;
mod predefined;
mod table;
mod wire;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// The size of both dynamic tables at the start of a connection (RFC 9113, 6.5.2).
const INITIAL_TABLE: usize = 4096;

/// The rule that a header block breaks. The connection ends with COMPRESSION_ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HpackError {
    /// The block ends inside a field.
    #[error("the header block ends inside a field")]
    Truncated,
    /// An integer has more than four bytes after its prefix (RFC 7541, 5.1).
    #[error("an integer of the header block is too large")]
    Integer,
    /// No entry has this index (RFC 7541, 2.3.3).
    #[error("the header block refers to no entry of the table")]
    Index,
    /// A string is no valid Huffman code (RFC 7541, 5.2).
    #[error("a string of the header block is no valid Huffman code")]
    Huffman,
    /// An update above our SETTINGS_HEADER_TABLE_SIZE (RFC 7541, 6.3).
    #[error("the header block makes the table larger than we allow")]
    UpdateTooLarge,
    /// A dynamic table size update after the first field (RFC 7541, 4.2).
    #[error("the header block changes the table's size after its first field")]
    UpdateMisplaced,
}
