//! Blocks that come back as they were, between our encoder and our decoder. `tests/agreement` has
//! another implementation at either end.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

type Text = (Vec<u8>, Vec<u8>);

/// A block: the sizes of the table that the decoder's side announces before it, and its fields.
type Block = (Vec<u32>, Vec<Text>);

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = ":method :path :status cookie set-cookie date etag server vary cf-ray x-a x-b x-c \
                 x-frame-options authorization content-type";
    let known = proptest::sample::select(known.split(' ').collect::<Vec<_>>());
    prop_oneof![8 => known.prop_map(Vec::from), 1 => "[a-z0-9-]{1,40}".prop_map(String::into_bytes)]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let known = proptest::sample::select(&["", "/", "200", "404", "GET", "a", "b", "nosniff"][..]);
    prop_oneof![
        6 => known.prop_map(Vec::from),
        4 => "[ -~]{0,60}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..80),
        1 => (any::<u8>(), 0..2000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let size = prop_oneof![Just(0), 0..300_u32, 300..5000_u32];
    vec((vec(size, 0..3), vec((name(), value()), 0..12)), 1..10)
}

fn encode(encoder: &mut Encoder, (sizes, fields): &Block) -> Vec<u8> {
    let mut out = Vec::new();
    sizes.iter().for_each(|size| encoder.set_max_table(*size));
    encoder.begin(&mut out);
    for (name, value) in fields {
        encoder.field(&mut out, name, value);
    }
    out
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Text>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, |field| fields.push((field.name.to_vec(), field.value.to_vec())))?;
    Ok(fields)
}

proptest! {
    #[test]
    fn blocks_of_the_encoder_come_back(blocks in blocks()) {
        let mut encoder = Encoder::new();
        let mut decoder = Decoder::new(4096);
        for block in &blocks {
            let out = encode(&mut encoder, block);
            prop_assert_eq!(&decode(&mut decoder, &out)?, &block.1);
        }
    }

    #[test]
    fn random_bytes_do_not_panic(blocks in vec(vec(any::<u8>(), 0..200), 1..10)) {
        let mut decoder = Decoder::new(4096);
        for block in &blocks {
            let mut read = 0;
            let result = decoder.decode(block, |_| read += 1);
            prop_assert!(result.is_err() || read <= block.len());
        }
    }

    #[test]
    fn changed_blocks_do_not_panic(
        blocks in blocks(),
        changes in vec((any::<Index>(), any::<u8>()), 20),
    ) {
        let mut encoder = Encoder::new();
        let mut decoder = Decoder::new(4096);
        for (block, (place, byte)) in blocks.iter().zip(changes) {
            let mut out = encode(&mut encoder, block);
            if !out.is_empty() {
                let place = place.index(out.len());
                out[place] = byte;
            }
            drop(decode(&mut decoder, &out));
        }
    }

    #[test]
    fn truncated_blocks_have_fewer_fields(blocks in blocks(), cut in any::<Index>()) {
        let out = encode(&mut Encoder::new(), &blocks[0]);
        if let Ok(fields) = decode(&mut Decoder::new(4096), &out[..cut.index(out.len() + 1)]) {
            prop_assert_eq!(&fields[..], &blocks[0].1[..fields.len()]);
        }
    }

    #[test]
    fn huffman_strings_come_back(text in vec(any::<u8>(), 0..300)) {
        let mut code = Vec::new();
        huffman::encode(&text, &mut code);
        let mut space = Vec::new();
        prop_assert_eq!(huffman::decode(&code, &mut space), Ok(&text[..]));
    }
}
