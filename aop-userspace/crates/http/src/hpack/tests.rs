//! The examples of RFC 7541, Appendix C, and blocks that are malformed.

use super::*;

type Text = (String, String);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Text>, HpackError> {
    let mut fields = Vec::new();
    let text = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
    decoder.decode(block, |field| fields.push((text(field.name), text(field.value))))?;
    Ok(fields)
}

/// One field on each line, as `name: value`.
fn fields(lines: &str) -> Vec<Text> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_at(line.rfind(": ").unwrap());
            (name.to_owned(), value[2..].to_owned())
        })
        .collect()
}

/// Decodes `hex`, and compares the fields and the dynamic table.
fn check(decoder: &mut Decoder, hex: &str, expected: &str, table: &str) {
    assert_eq!(decode(decoder, &bytes(hex)), Ok(fields(expected)));
    let table = fields(table);
    for (index, entry) in (62_u8..).zip(&table) {
        assert_eq!(decode(decoder, &[0x80 | index]), Ok(vec![entry.clone()]));
    }
    let after = 0x80 | (62 + u8::try_from(table.len()).unwrap());
    assert_eq!(decode(decoder, &[after]), Err(HpackError::Index));
}

const REQUESTS: [(&str, &str); 3] = [
    (
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com",
        ":authority: www.example.com",
    ),
    (
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com
         cache-control: no-cache",
        "cache-control: no-cache\n:authority: www.example.com",
    ),
    (
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com
         custom-key: custom-value",
        "custom-key: custom-value\ncache-control: no-cache\n:authority: www.example.com",
    ),
];

const RESPONSES: [(&str, &str); 3] = [
    (
        ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT
         location: https://www.example.com",
        "location: https://www.example.com\ndate: Mon, 21 Oct 2013 20:13:21 GMT
         cache-control: private\n:status: 302",
    ),
    (
        ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT
         location: https://www.example.com",
        ":status: 307\nlocation: https://www.example.com
         date: Mon, 21 Oct 2013 20:13:21 GMT\ncache-control: private",
    ),
    (
        ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT
         location: https://www.example.com\ncontent-encoding: gzip
         set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1
         content-encoding: gzip\ndate: Mon, 21 Oct 2013 20:13:22 GMT",
    ),
];

const HUFFMAN_REQUESTS: [&str; 3] = [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
];

#[test]
fn literals_of_appendix_c_2_are_decoded() {
    for (hex, field, table) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            "custom-key: custom-header",
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", ""),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", ""),
        ("82", ":method: GET", ""),
    ] {
        check(&mut Decoder::new(4096), hex, field, table);
    }
}

#[test]
fn requests_of_appendix_c_3_and_c_4_are_decoded() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    for blocks in [plain, HUFFMAN_REQUESTS] {
        let mut decoder = Decoder::new(4096);
        for (block, (expected, table)) in blocks.into_iter().zip(REQUESTS) {
            check(&mut decoder, block, expected, table);
        }
    }
}

#[test]
fn responses_of_appendix_c_5_and_c_6_are_decoded() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
         3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
         677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
         553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
         821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
         4ee5 b106 3d50 07",
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new(256);
        assert_eq!(decode(&mut decoder, &bytes("3fe101")), Ok(vec![]));
        for (block, (expected, table)) in blocks.into_iter().zip(RESPONSES) {
            check(&mut decoder, block, expected, table);
        }
    }
}

#[test]
fn requests_of_appendix_c_4_are_encoded() {
    let mut encoder = Encoder::new();
    for (block, (expected, _)) in HUFFMAN_REQUESTS.into_iter().zip(REQUESTS) {
        assert_eq!(encode(&mut encoder, expected), bytes(block));
    }
}

fn encode(encoder: &mut Encoder, lines: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    for (name, value) in fields(lines) {
        encoder.field(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

#[test]
fn malformed_blocks_are_refused() {
    for (hex, error) in [
        ("80", HpackError::Index),
        ("be", HpackError::Index),
        ("7e 01 61", HpackError::Index),
        ("0f 2f 01 61", HpackError::Index),
        ("ff ff ff ff ff 7f", HpackError::Integer),
        ("ff ff ff ff 7f", HpackError::Index),
        ("7f ff ff ff ff ff 01", HpackError::Integer),
        ("ff", HpackError::Truncated),
        ("40", HpackError::Truncated),
        ("41", HpackError::Truncated),
        ("41 03 61 62", HpackError::Truncated),
        ("41 ff ff ff ff 7f", HpackError::Truncated),
        ("41 81 ff", HpackError::Huffman),
        ("41 84 ff ff ff ff", HpackError::Huffman),
        ("3f e2 1f", HpackError::UpdateTooLarge),
        ("82 20", HpackError::UpdateMisplaced),
        ("20 82 3f e1 1f", HpackError::UpdateMisplaced),
    ] {
        assert_eq!(decode(&mut Decoder::new(4096), &bytes(hex)), Err(error), "{hex}");
    }
}

#[test]
fn a_table_may_grow_to_our_setting_alone() {
    let mut decoder = Decoder::new(65536);
    assert_eq!(decode(&mut decoder, &bytes("3f e1 ff 03")), Ok(vec![]));
    assert_eq!(decode(&mut decoder, &bytes("3f e2 ff 03")), Err(HpackError::UpdateTooLarge));
    assert_eq!(decode(&mut Decoder::new(0), &bytes("20")), Ok(vec![]));
    assert_eq!(decode(&mut Decoder::new(0), &bytes("21")), Err(HpackError::UpdateTooLarge));
}

#[test]
fn a_truncated_block_is_refused_or_has_fewer_fields() {
    let (block, expected) = (bytes(HUFFMAN_REQUESTS[0]), fields(REQUESTS[0].0));
    for length in 0..block.len() {
        match decode(&mut Decoder::new(4096), &block[..length]) {
            Ok(some) => assert!(length <= 3 && some[..] == expected[..length]),
            Err(error) => assert_eq!((error, length > 3), (HpackError::Truncated, true)),
        }
    }
}

#[test]
fn secrets_are_never_indexed_and_unique_values_take_no_entry() {
    let mut encoder = Encoder::new();
    for (line, first) in [
        ("authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 0x1f),
        ("proxy-authorization: Basic QQ==", 0x1f),
        ("cookie: short=1", 0x1f),
        ("set-cookie: short=1", 0x1f),
        ("set-cookie: session=abcdefghijklmnop; path=/", 0x0f),
        ("content-length: 12", 0x0f),
        ("etag: \"abc\"", 0x0f),
        ("cf-ray: 8f0-AMS", 0x00),
        (":path: /a", 0x04),
    ] {
        for _ in 0..2 {
            assert_eq!(encode(&mut encoder, line)[0], first, "{line}");
        }
    }
    let long = format!("x-policy: {}", "a".repeat(1024));
    assert_eq!(encode(&mut encoder, &long)[0], 0x00);
    for (line, first) in [
        ("cookie: session=abcdefghijklmnop", 0x60),
        ("date: Mon, 21 Oct 2013 20:13:21 GMT", 0x61),
        ("x-custom: 1", 0x40),
    ] {
        assert_eq!(encode(&mut encoder, line)[0], first, "{line}");
        assert_eq!(encode(&mut encoder, line), [0xbe], "{line}");
    }
    // The name of an entry serves for another value.
    assert_eq!(encode(&mut encoder, "x-custom: 2"), [0x7e, 0x01, b'2']);
}

#[test]
fn a_status_has_three_digits() {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    for status in [200, 404, 500, 503, 503] {
        encoder.status(&mut out, status);
    }
    let mut decoder = Decoder::new(4096);
    let expected = ":status: 200\n:status: 404\n:status: 500\n:status: 503\n:status: 503";
    assert_eq!(decode(&mut decoder, &out), Ok(fields(expected)));
    assert_eq!((&out[..3], out.last()), (&[0x88, 0x8d, 0x8e][..], Some(&0xbe)));
}

#[test]
fn a_change_of_the_size_is_announced_with_its_minimum() {
    for (settings, expected) in [
        (&[4096][..], ""),
        (&[65536], ""),
        (&[100], "3f45"),
        (&[100, 65536], "3f45 3fe11f"),
        (&[0, 100], "20 3f45"),
        (&[], "3fe11f"),
    ] {
        let mut encoder = Encoder::new();
        let mut out = Vec::new();
        if settings.is_empty() {
            encoder.set_max_table(10);
            encoder.begin(&mut out);
            out.clear();
            encoder.set_max_table(4096);
        }
        settings.iter().for_each(|setting| encoder.set_max_table(*setting));
        encoder.begin(&mut out);
        assert_eq!(out, bytes(expected), "{settings:?}");
        encoder.begin(&mut out);
        assert_eq!(out, bytes(expected), "{settings:?}: once");
    }
}

#[test]
fn a_cookie_of_20_bytes_may_be_indexed_and_a_shorter_one_never() {
    let mut encoder = Encoder::new();
    assert_eq!(encode(&mut encoder, &format!("cookie: {}", "c".repeat(19)))[0], 0x1f);
    assert_eq!(encode(&mut encoder, &format!("cookie: {}", "c".repeat(20)))[0], 0x60);
}

#[test]
fn a_field_of_a_quarter_of_the_table_is_indexed_and_a_longer_one_is_not() {
    let mut encoder = Encoder::new();
    // The name, and 32 bytes of overhead.
    let quarter = 1024 - 3 - 32;
    assert_eq!(encode(&mut encoder, &format!("x-a: {}", "v".repeat(quarter)))[0], 0x40);
    assert_eq!(encode(&mut encoder, &format!("x-b: {}", "v".repeat(quarter + 1)))[0], 0x00);
}
