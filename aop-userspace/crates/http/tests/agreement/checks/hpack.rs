//! Header compression beside the crate httlib-hpack.
//!
//! That crate panics where a block ends inside an integer, takes a change of the table's size
//! anywhere, and takes a Huffman code whose padding is not that of EOS. So a walk over the block
//! finds the representations, and the rules that concern their form alone; the crate gets one whole
//! representation after the other, and each Huffman string must be the one that it would write.

use aop_http::hpack::{Decoder, Encoder, HpackError};
use httlib_hpack as other;
use httlib_huffman as huffman;

use super::{choices::Choices, heads::List};

/// The size of both tables, which the peer may not exceed.
const TABLE: u32 = 4_096;
/// The bytes after the prefix of an integer.
const LONGEST_INTEGER: usize = 4;

/// Reads blocks of arbitrary bytes with both decoders.
pub fn check_decoders(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut decoder = Decoder::new(TABLE as usize);
    let mut second = other::Decoder::with_dynamic_size(TABLE);
    while !choices.is_empty() {
        let length = choices.below(128);
        let block = choices.bytes(length);
        let mut own = List::new();
        let outcome =
            decoder.decode(block, |field| own.push((field.name.to_vec(), field.value.to_vec())));
        let (fields, errors) = expected(&mut second, block);
        assert_eq!(own, fields, "{block:02x?}");
        match outcome {
            Ok(()) => assert_eq!(errors, [], "{block:02x?}"),
            // The state of both is lost.
            Err(error) => return assert!(errors.contains(&error), "{error:?} in {block:02x?}"),
        }
    }
}

/// The fields of a block up to its first error, and the errors that are right there.
fn expected(decoder: &mut other::Decoder<'_>, block: &[u8]) -> (List, Vec<HpackError>) {
    use HpackError::{Huffman, Index, UpdateMisplaced, UpdateTooLarge};
    let (mut fields, mut at) = (List::new(), 0);
    while at < block.len() {
        let first = block[at];
        if is_update(first) && !fields.is_empty() {
            return (fields, vec![UpdateMisplaced]);
        }
        let (length, strings) = match walk(&block[at..]) {
            Ok(found) => found,
            // A reader may see a bad index or string before the place of this one.
            Err(error) if first & 0x80 != 0 || is_update(first) => return (fields, vec![error]),
            Err(error) => return (fields, vec![error, Index, Huffman]),
        };
        let (mut one, mut read) = (block[at..at + length].to_vec(), Vec::new());
        let padded = strings.iter().any(|code| !is_canonical(code));
        if decoder.decode(&mut one, &mut read).is_err() || padded {
            let errors = if is_update(first) { vec![UpdateTooLarge] } else { vec![Index, Huffman] };
            return (fields, errors);
        }
        fields.extend(read.into_iter().map(|(name, value, _)| (name, value)));
        at += length;
    }
    (fields, Vec::new())
}

fn is_update(first: u8) -> bool {
    first & 0xe0 == 0x20
}

/// Whether a Huffman string has the padding that RFC 7541, 5.2 demands: none other is written.
fn is_canonical(code: &[u8]) -> bool {
    let (mut text, mut again) = (Vec::new(), Vec::new());
    if huffman::decode(code, &mut text, huffman::DecoderSpeed::OneBit).is_err() {
        return false;
    }
    huffman::encode(&text, &mut again).unwrap();
    again == code
}

/// The length of the representation at the front of `block` (RFC 7541, 6), and its strings that
/// have the Huffman code.
fn walk(block: &[u8]) -> Result<(usize, Vec<&[u8]>), HpackError> {
    let (prefix, literal) = match block[0].leading_zeros() {
        0 => (7, false),
        1 => (6, true),
        2 => (5, false),
        _ => (4, true),
    };
    let (index, mut at) = integer(block, prefix)?;
    let strings = if literal { 1 + usize::from(index == 0) } else { 0 };
    let mut codes = Vec::new();
    for _ in 0..strings {
        let (length, read) = integer(&block[at..], 7)?;
        let is_code = block[at] >= 0x80;
        at += read;
        let text = block[at..].get(..length as usize).ok_or(HpackError::Truncated)?;
        codes.extend(is_code.then_some(text));
        at += text.len();
    }
    Ok((at, codes))
}

/// An integer (RFC 7541, 5.1), and the number of its bytes.
fn integer(bytes: &[u8], prefix: u32) -> Result<(u64, usize), HpackError> {
    let (first, rest) = bytes.split_first().ok_or(HpackError::Truncated)?;
    let most = 2_u64.pow(prefix) - 1;
    let value = u64::from(*first) & most;
    if value < most {
        return Ok((value, 1));
    }
    let more: Vec<_> = rest.iter().take_while(|byte| **byte >= 0x80).collect();
    if more.len() >= LONGEST_INTEGER {
        return Err(HpackError::Integer);
    }
    let last = rest.get(more.len()).ok_or(HpackError::Truncated)?;
    let digits = more.iter().map(|byte| u64::from(**byte) - 0x80).chain([u64::from(*last)]);
    let sum: u64 = digits.zip(0..).map(|(digit, place)| digit * 128_u64.pow(place)).sum();
    Ok((value + sum, 2 + more.len()))
}

/// Writes lists of fields with each encoder, and reads them with the decoder of the other.
pub fn check_encoders(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(TABLE as usize));
    let mut second = other::Encoder::with_dynamic_size(TABLE);
    let mut third = other::Decoder::with_dynamic_size(TABLE);
    let mut reader = Decoder::new(TABLE as usize);
    while !choices.is_empty() {
        let (mut block, mut another) = (Vec::new(), Vec::new());
        for _ in 0..choices.below(4).saturating_sub(1) {
            let size = choices.number() % (2 * TABLE);
            encoder.set_max_table(size);
            second.update_max_dynamic_size(size.min(TABLE), &mut another).unwrap();
        }
        encoder.begin(&mut block);
        let fields = fields(&mut choices);
        for (name, value) in &fields {
            encoder.field(&mut block, name, value);
            let form = choices.byte() % 32;
            second.encode((name.clone(), value.clone(), form), &mut another).unwrap();
        }
        let mut read = Vec::new();
        third.decode(&mut block.clone(), &mut read).unwrap();
        let read: List = read.into_iter().map(|(name, value, _)| (name, value)).collect();
        assert_eq!(read, fields, "httlib-hpack reads something else");
        for (reader, block) in [(&mut decoder, &block), (&mut reader, &another)] {
            let mut read = List::new();
            let each = |field: aop_http::Field<'_>| {
                read.push((field.name.to_vec(), field.value.to_vec()));
            };
            reader.decode(block, each).unwrap();
            assert_eq!(read, fields, "the decoder reads something else in {block:02x?}");
        }
    }
}

const NAMES: [&str; 20] = [
    ":method",
    ":path",
    ":status",
    ":authority",
    "accept",
    "age",
    "authorization",
    "cf-ray",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "etag",
    "host",
    "set-cookie",
    "x-a",
    "x-b",
    "x-frame-options",
    "x-request-id",
    "www-authenticate",
];
const VALUES: [&str; 8] = ["", "/", "200", "404", "GET", "a", "gzip, deflate", "nosniff"];

fn fields(choices: &mut Choices<'_>) -> List {
    let count = choices.below(12);
    let field = |choices: &mut Choices<'_>| {
        let name = match choices.below(8) {
            7 => {
                let length = choices.below(40) + 1;
                let letter = |byte: &u8| b'a' + byte % 26;
                [b"x", &choices.bytes(length).iter().map(letter).collect::<Vec<_>>()[..]].concat()
            }
            _ => choices.of(&NAMES).into(),
        };
        let value = match choices.below(8) {
            7 => vec![choices.byte(); choices.below(256) * 9],
            5 | 6 => {
                let length = choices.below(80);
                choices.bytes(length).to_vec()
            }
            _ => choices.of(&VALUES).into(),
        };
        (name, value)
    };
    (0..count).map(|_| field(choices)).collect()
}
