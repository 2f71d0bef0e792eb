//! The Huffman code (RFC 7541, 5.2 and Appendix B).
//!
//! The code is canonical: the codes of one length are consecutive numbers in the order of the
//! bytes, and a longer code is the larger number. So the lengths determine all codes, and the
//! compiler computes the tables. The decoder takes up to two bytes by one look at the next
//! [`LOOK`] bits; codes that are longer belong to rare bytes.

use super::HpackError;

/// The length of each byte's code, in bits.
#[rustfmt::skip]
static LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The bits that the decoder looks at.
const LOOK: u32 = 12;
/// The shortest and the longest code.
const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// The codes, computed from their lengths.
struct Codes {
    /// By byte.
    code: [u32; 256],
    /// The bytes in the order of their codes. EOS follows them, as the last code.
    sorted: [u8; 256],
    /// For each length: the first code, and its place in `sorted`.
    first: [u32; LONGEST + 1],
    place: [u32; LONGEST + 1],
}

static CODES: Codes = {
    let mut codes = Codes {
        code: [0; 256],
        sorted: [0; 256],
        first: [0; LONGEST + 1],
        place: [0; LONGEST + 1],
    };
    let (mut next, mut place, mut length) = (0, 0, 1);
    while length <= LONGEST {
        next <<= 1;
        codes.first[length] = next;
        codes.place[length] = place;
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                codes.code[byte] = next;
                codes.sorted[place as usize] = byte as u8;
                next += 1;
                place += 1;
            }
            byte += 1;
        }
        length += 1;
    }
    codes
};

/// The bytes at the front of the next [`LOOK`] bits.
#[derive(Clone, Copy)]
struct Front {
    bytes: [u8; 2],
    /// The bits of the first byte, and those of all that fit. Equal where only one fits.
    one: u8,
    all: u8,
}

/// A code that is longer than [`LOOK`]: there are never that many bits.
const LONG: Front = Front { bytes: [0, 0], one: u8::MAX, all: u8::MAX };

static FRONTS: [Front; 1 << LOOK] = {
    let mut fronts = [LONG; 1 << LOOK];
    let mut byte = 0;
    while byte < 256 {
        let length = LENGTHS[byte];
        if length as u32 <= LOOK {
            let spare = LOOK - length as u32;
            let mut bits = (CODES.code[byte] as usize) << spare;
            let end = bits + (1 << spare);
            while bits < end {
                fronts[bits] = Front { bytes: [byte as u8, 0], one: length, all: length };
                bits += 1;
            }
        }
        byte += 1;
    }
    let single = fronts;
    let mut bits = 0;
    while bits < fronts.len() {
        let first = single[bits];
        if first.one != LONG.one {
            let second = single[(bits << first.one) % fronts.len()];
            if second.one as u32 + first.one as u32 <= LOOK {
                fronts[bits].bytes[1] = second.bytes[0];
                fronts[bits].all = first.one + second.one;
            }
        }
        bits += 1;
    }
    fronts
};

/// The length of `text` in the code, in bytes.
pub(super) fn length(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum();
    bits.div_ceil(8)
}

/// Appends `text` in the code.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    // The lowest `waiting` bits of `bits` are still to be written: fewer than 32.
    let (mut bits, mut waiting) = (0_u64, 0_u32);
    for byte in text.iter().map(|byte| usize::from(*byte)) {
        let length = u32::from(LENGTHS[byte]);
        bits = bits << length | u64::from(CODES.code[byte]);
        waiting += length;
        if waiting >= 32 {
            waiting -= 32;
            out.extend_from_slice(&((bits >> waiting) as u32).to_be_bytes());
        }
    }
    // The start of EOS fills the last byte: bits that are all one.
    let padded = (bits << 32 | u64::from(u32::MAX)) << (32 - waiting);
    out.extend_from_slice(&padded.to_be_bytes()[..waiting.div_ceil(8) as usize]);
}

/// Decodes `code` into the front of `space`.
pub(super) fn decode<'a>(code: &[u8], space: &'a mut Vec<u8>) -> Result<&'a [u8], HpackError> {
    // The last step writes two bytes even where only one counts.
    let most = code.len() * 8 / SHORTEST + 2;
    if space.len() < most {
        space.resize(most, 0);
    }
    let mut end = 0;
    let mut input = Bits { rest: code, bits: 0, have: 0 };
    loop {
        input.fill();
        let front = FRONTS[(input.bits >> (u64::BITS - LOOK)) as usize];
        if u32::from(front.all) <= input.have {
            space[end..end + 2].copy_from_slice(&front.bytes);
            end += 1 + usize::from(front.all != front.one);
            input.skip(front.all.into());
        } else if u32::from(front.one) <= input.have {
            space[end] = front.bytes[0];
            end += 1;
            input.skip(front.one.into());
        } else if let Some((byte, length)) = input.long() {
            space[end] = byte;
            end += 1;
            input.skip(length);
        } else {
            return if input.is_padding() { Ok(&space[..end]) } else { Err(HpackError::Huffman) };
        }
    }
}

/// The bits to decode.
struct Bits<'b> {
    rest: &'b [u8],
    /// The next `have` bits, from the highest on. The others are zero.
    bits: u64,
    have: u32,
}

impl Bits<'_> {
    /// Takes bytes until it has more than 30 bits, or all that are left.
    fn fill(&mut self) {
        if self.have >= 32 {
            return;
        }
        if let Some((chunk, rest)) = self.rest.split_first_chunk::<4>() {
            self.bits |= u64::from(u32::from_be_bytes(*chunk)) << (32 - self.have);
            self.have += 32;
            self.rest = rest;
            return;
        }
        while let Some((byte, rest)) = self.rest.split_first() {
            self.bits |= u64::from(*byte) << (56 - self.have);
            self.have += 8;
            self.rest = rest;
        }
    }

    fn skip(&mut self, count: u32) {
        self.bits <<= count;
        self.have -= count;
    }

    /// The byte that a code longer than [`LOOK`] stands for, and the length of the code.
    fn long(&self) -> Option<(u8, u32)> {
        for length in LOOK + 1..=self.have.min(LONGEST as u32) {
            let code = (self.bits >> (u64::BITS - length)) as u32;
            let at = length as usize;
            let place = CODES.place[at] + code.checked_sub(CODES.first[at])?;
            let next = CODES.place.get(at + 1).copied().unwrap_or(256);
            if place < next {
                return Some((CODES.sorted[place as usize], length));
            }
        }
        None
    }

    /// Whether the rest is shorter than a byte and all ones.
    fn is_padding(&self) -> bool {
        self.have < 8 && self.bits.leading_ones() == self.have
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_gives_two_short_codes() {
        let front = FRONTS[0];
        assert_eq!((front.bytes, front.one, front.all), (*b"00", 5, 10));
    }

    #[test]
    fn the_space_is_two_bytes_longer_than_the_longest_text() {
        let (mut code, mut space) = (Vec::new(), Vec::new());
        encode(&[b'0'; 16], &mut code);
        assert_eq!((decode(&code, &mut space), code.len()), (Ok(&[b'0'; 16][..]), 10));
        assert_eq!(space.len(), 18);
    }

    fn decoded(code: &[u8]) -> Result<Vec<u8>, HpackError> {
        decode(code, &mut Vec::new()).map(<[u8]>::to_vec)
    }

    #[test]
    fn the_codes_are_those_of_appendix_b() {
        for (byte, code) in [
            (0, 0x1ff8),
            (10, 0x3fff_fffc),
            (b'0', 0x0),
            (b'a', 0x3),
            (b'z', 0x7b),
            (b'~', 0x1ffd),
            (127, 0xfff_fffc),
            (128, 0xf_ffe6),
            (249, 0xfff_fffe),
            (255, 0x3ff_ffee),
        ] {
            assert_eq!(CODES.code[usize::from(byte)], code, "{byte}");
        }
    }

    #[test]
    fn every_pair_of_bytes_comes_back() {
        for first in 0..=255 {
            for second in 0..=255 {
                let text = [first, second, first];
                let mut code = Vec::new();
                encode(&text, &mut code);
                assert_eq!(code.len(), length(&text));
                assert_eq!(decoded(&code).as_deref(), Ok(&text[..]));
            }
        }
    }

    #[test]
    fn padding_is_shorter_than_a_byte_and_all_ones() {
        // `0` is 00000: three bits of padding follow.
        assert_eq!(decoded(&[0b0000_0111]).as_deref(), Ok(&b"0"[..]));
        assert_eq!(decoded(&[]).as_deref(), Ok(&b""[..]));
        for wrong in [
            &[0b0000_0110][..],
            &[0b0000_0000],
            &[0xff],
            &[0b0000_0111, 0xff],
            &[0xff, 0xff],
            // EOS, alone and after a byte.
            &[0xff, 0xff, 0xff, 0xff],
            &[0b0000_0111, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(decoded(wrong), Err(HpackError::Huffman), "{wrong:x?}");
        }
    }
}
