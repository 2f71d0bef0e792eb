//! The frames that a server writes, in the order that RFC 9113 demands.

use std::collections::BTreeMap;

use httlib_hpack as hpack;

/// The server's side of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sent {
    #[default]
    Nothing,
    Head,
    Ended,
    Reset,
}

/// Checks the bytes of a server from the start of a connection.
pub fn check(mut bytes: &[u8]) {
    let mut decoder = hpack::Decoder::with_dynamic_size(4_096);
    let mut streams = BTreeMap::<u32, Sent>::new();
    let mut block: Option<(u32, u8, Vec<u8>)> = None;
    let mut first = true;
    while let Some((header, rest)) = bytes.split_first_chunk::<9>() {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *header;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        assert!(length <= 16_384 && (!first || (kind, flags) == (4, 0)));
        first = false;
        let (payload, rest) = rest.split_at(length);
        bytes = rest;
        assert_eq!(block.is_some(), kind == 9, "CONTINUATION is missing, or misplaced");
        let sent = streams.entry(stream).or_default();
        match kind {
            0 => {
                assert_eq!(*sent, Sent::Head, "DATA on {stream}");
                if flags & 1 != 0 {
                    *sent = Sent::Ended;
                }
            }
            1 | 9 => {
                let (of, end, text) = block.get_or_insert((stream, flags & 1, Vec::new()));
                assert!(*of == stream && stream % 2 == 1);
                text.extend_from_slice(payload);
                if flags & 4 != 0 {
                    let mut fields = Vec::new();
                    decoder.decode(text, &mut fields).unwrap();
                    *sent = head(*sent, &fields, *end != 0);
                    block = None;
                }
            }
            3 => {
                assert!(length == 4 && *sent != Sent::Reset, "a second RST_STREAM on {stream}");
                *sent = Sent::Reset;
            }
            4 => assert!(stream == 0 && length.is_multiple_of(6) && (flags == 0 || length == 0)),
            6 => assert!(stream == 0 && length == 8),
            7 => assert!(stream == 0 && length == 8),
            8 => {
                let by = u32::from_be_bytes(payload.try_into().unwrap());
                assert!((1..=0x7fff_ffff).contains(&by) && *sent != Sent::Reset);
            }
            _ => panic!("a server writes no frame of type {kind}"),
        }
    }
    assert!(bytes.is_empty() && block.is_none(), "a frame is truncated");
}

/// The state after a header block.
fn head(before: Sent, fields: &[(Vec<u8>, Vec<u8>, u8)], end: bool) -> Sent {
    let status = fields.iter().find(|field| field.0 == b":status").map(|field| &field.1[..]);
    match (before, status) {
        (Sent::Nothing, Some([b'1', ..])) if !end => Sent::Nothing,
        (Sent::Nothing, Some(_)) if end => Sent::Ended,
        (Sent::Nothing, Some(_)) => Sent::Head,
        (Sent::Head, None) if end => Sent::Ended,
        (before, status) => panic!("HEADERS with {status:?} after {before:?}"),
    }
}
