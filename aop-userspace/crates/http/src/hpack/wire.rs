//! Integers and strings (RFC 7541, 5).

use super::{HpackError, huffman};

/// The rest of a block.
pub(super) struct Input<'b> {
    rest: &'b [u8],
}

impl<'b> Input<'b> {
    pub(super) fn new(block: &'b [u8]) -> Self {
        Self { rest: block }
    }

    /// The next byte, which stays.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }
    /// An integer with a prefix of `bits` bits, and at most four bytes after it (RFC 7541, 5.1).
    pub(super) fn integer(&mut self, bits: u32) -> Result<usize, HpackError> {
        let max = (1 << bits) - 1;
        let mut value = usize::from(self.byte()?) & max;
        if value < max {
            return Ok(value);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(HpackError::Integer)
    }

    /// A string (RFC 7541, 5.2). `space` takes it where it has the Huffman code.
    pub(super) fn string<'a>(&mut self, space: &'a mut Vec<u8>) -> Result<&'a [u8], HpackError>
    where
        'b: 'a,
    {
        let first = self.peek().ok_or(HpackError::Truncated)?;
        let length = self.integer(7)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(HpackError::Truncated)?;
        self.rest = rest;
        match first {
            0x80.. => huffman::decode(text, space),
            0x00..=0x7f => Ok(text),
        }
    }

    fn byte(&mut self) -> Result<u8, HpackError> {
        let (byte, rest) = self.rest.split_first().ok_or(HpackError::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }
}

/// Writes an integer with a prefix of `bits` bits, after `flags` (RFC 7541, 5.1).
pub(super) fn integer(out: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let max = (1 << bits) - 1;
    if value < max {
        out.push(flags | value as u8);
        return;
    }
    out.push(flags | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes a string, in the shorter of its two forms (RFC 7541, 5.2).
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    let length = huffman::length(text);
    if length < text.len() {
        integer(out, 0x80, 7, length);
        huffman::encode(text, out);
    } else {
        integer(out, 0, 7, text.len());
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_appendix_c_1() {
        for (flags, bits, value, bytes) in [
            (0xe0, 5, 10, &[0b1110_1010][..]),
            (0xe0, 5, 1337, &[0b1111_1111, 0b1001_1010, 0b0000_1010]),
            (0, 8, 42, &[42]),
            (0, 5, 31, &[31, 0]),
            (0, 7, 127 + 128, &[127, 0x80, 1]),
        ] {
            let mut out = Vec::new();
            integer(&mut out, flags, bits, value);
            assert_eq!(out, bytes);
            assert_eq!(Input::new(bytes).integer(bits), Ok(value));
        }
    }

    #[test]
    fn an_integer_ends_after_four_bytes() {
        let largest = [31, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(Input::new(&largest).integer(5), Ok((1 << 28) - 1 + 31));
        let fifth = [31, 0x80, 0x80, 0x80, 0x80, 0];
        assert_eq!(Input::new(&fifth).integer(5), Err(HpackError::Integer));
        assert_eq!(Input::new(&largest[..4]).integer(5), Err(HpackError::Truncated));
    }
}
