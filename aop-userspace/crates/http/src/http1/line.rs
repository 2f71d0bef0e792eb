//! Lines and field lines (RFC 9112, 2.2 and 5).
//!
//! A line that is complete in the input is borrowed from it. The beginning of an incomplete line is
//! kept, and only the bytes that follow are searched for its end. The characters of each line are
//! checked once, before anything in it is read.

use crate::{
    fault::{Fault, Malformed},
    fields::Fields,
    syntax,
};

/// The largest number of fields in a head, and in trailers.
pub(super) const MAX_FIELDS: usize = 1000;

/// The longest name in a [`Malformed`].
const MAX_NAME_IN_FAULT: usize = 64;

/// How to read a form that RFC 9112 lets a recipient interpret, where it changes no message's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It is a fault.
    Strict,
    /// It is read as RFC 9112 suggests.
    Lenient,
}

/// The bytes that the lines of one section may have, line ends included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: usize,
    fault: Fault,
}

impl Budget {
    /// A head, or trailers. Cloudflare sends at most 128 KiB of fields, and a request line.
    pub(super) const HEAD: Self = Self { left: (128 + 8) * 1024, fault: Fault::TooLarge };
    /// The line before a chunk.
    pub(super) const CHUNK_LINE: Self = Self { left: 256, fault: Fault::Chunk };
    /// The line end after a chunk.
    pub(super) const CHUNK_END: Self = Self { left: 2, fault: Fault::Chunk };

    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.left = self.left.checked_sub(bytes).ok_or(self.fault)?;
        Ok(())
    }
}

/// Cuts the input into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of an incomplete line; or the last line, if it was put together here.
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next line from the front of `input`, up to its LF. `None`: the line is incomplete,
    /// and its beginning is kept.
    pub(super) fn next<'line, 'input: 'line>(
        &'line mut self,
        input: &mut &'input [u8],
        budget: &mut Budget,
    ) -> Result<Option<&'line [u8]>, Fault> {
        if !self.is_incomplete() {
            self.partial.clear();
        }
        let bytes = *input;
        let end = line_feed(bytes);
        let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        budget.spend(part.len())?;
        *input = rest;
        if end.is_some() && self.partial.is_empty() {
            return Ok(Some(part));
        }
        self.partial.extend_from_slice(part);
        Ok(end.map(|_| &self.partial[..]))
    }

    /// Whether the beginning of a line is kept.
    pub(super) fn is_incomplete(&self) -> bool {
        !matches!(self.partial.last(), None | Some(b'\n'))
    }

    /// Whether no byte is kept that must be part of a message: CR alone may begin an empty line.
    pub(super) fn is_blank(&self) -> bool {
        !self.is_incomplete() || self.partial == b"\r"
    }

    /// Gives the memory back, unless a line is incomplete.
    pub(super) fn shrink(&mut self) {
        if !self.is_incomplete() {
            self.partial = Vec::new();
        }
    }
}

/// The position of the first LF. It looks at eight bytes at once: in `differs` an LF is a zero
/// byte, and the lowest zero byte is the lowest one whose top bit the subtraction sets.
fn line_feed(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let differs = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        let zero = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        if zero != 0 {
            return Some(at * 8 + zero.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| *byte == b'\n').map(|at| words.len() * 8 + at)
}

/// The line without its CR LF, or without its LF (RFC 9112, 2.2) where the reading is lenient. Its
/// characters are valid in a field's value.
pub(super) fn content(line: &[u8], reading: Reading) -> Result<&[u8], Fault> {
    let line = match (line.strip_suffix(b"\r\n"), reading) {
        (Some(line), _) => line,
        (None, Reading::Strict) => return Err(Fault::BareLineEnd),
        (None, Reading::Lenient) => line.strip_suffix(b"\n").ok_or(Fault::BareLineEnd)?,
    };
    syntax::check_value(line).map_err(|fault| {
        match line.iter().find(|byte| syntax::check_value(&[**byte]).is_err()) {
            Some(b'\r') => Fault::BareLineEnd,
            Some(_) | None => fault,
        }
    })?;
    Ok(line)
}

/// Reads a field line into `fields`. It is the end of the section if the line is empty.
pub(super) fn read_field(
    fields: &mut Fields,
    line: &[u8],
    reading: Reading,
) -> Result<Section, Malformed> {
    let line = content(line, reading).map_err(|fault| of_name(fault, line))?;
    match line.first() {
        None => return Ok(Section::Complete),
        Some(b' ' | b'\t') => {
            let joined = match reading {
                Reading::Strict => None,
                Reading::Lenient => fields.continue_last(line.trim_ascii()),
            };
            return joined.map(|()| Section::Open).ok_or_else(|| {
                let last = fields.iter().last();
                last.map_or(Fault::FoldedLine.into(), |last| Fault::FoldedLine.of(last.name))
            });
        }
        Some(_) => {}
    }
    let (name, rest) = line.split_at(syntax::token_length(line));
    match rest.split_first() {
        Some((b':', _)) if fields.len() == MAX_FIELDS => Err(Fault::TooLarge.into()),
        Some((b':', value)) if !name.is_empty() => {
            fields.push(name, value.trim_ascii());
            Ok(Section::Open)
        }
        Some(_) | None => {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            Err(match name.len().min(MAX_NAME_IN_FAULT) {
                0 => Fault::FieldName.into(),
                end => Fault::FieldName.of(&name[..end]),
            })
        }
    }
}

/// Whether a field section goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Open,
    Complete,
}

/// The fault, of the field that `line` begins with where it does.
fn of_name(fault: Fault, line: &[u8]) -> Malformed {
    match syntax::token_length(line) {
        end @ 1..=MAX_NAME_IN_FAULT if line.get(end) == Some(&b':') => fault.of(&line[..end]),
        _ => fault.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_feed_is_found_at_every_place() {
        for length in 0..40 {
            for at in 0..length {
                for filler in [b'a', b'\x0b', b'\x09', b'\x8a', b'\xff', 0] {
                    let mut bytes = vec![filler; length];
                    assert_eq!(line_feed(&bytes), None);
                    bytes[length - 1] = b'\n';
                    bytes[at] = b'\n';
                    assert_eq!(line_feed(&bytes), Some(at), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn only_an_incomplete_line_is_kept() {
        let (mut lines, mut budget) = (Lines::default(), Budget::HEAD);
        let mut input = &b"one\r\ntwo\r\nthr"[..];
        assert_eq!(lines.next(&mut input, &mut budget), Ok(Some(&b"one\r\n"[..])));
        assert!(lines.partial.capacity() == 0);
        assert_eq!(lines.next(&mut input, &mut budget), Ok(Some(&b"two\r\n"[..])));
        assert_eq!(lines.next(&mut input, &mut budget), Ok(None));
        assert!(lines.is_incomplete() && input.is_empty());
        let mut input = &b"ee\r\nfour"[..];
        assert_eq!(lines.next(&mut input, &mut budget), Ok(Some(&b"three\r\n"[..])));
        assert!(!lines.is_incomplete() && input == b"four");
        lines.shrink();
        assert!(lines.partial.capacity() == 0);
    }
}
