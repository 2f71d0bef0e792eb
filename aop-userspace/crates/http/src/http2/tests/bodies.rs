//! Bodies, their lengths, and flow control (RFC 9113, 5.2, 6.1 and 6.9).

use super::*;

use ErrorCode::{FlowControl, ProtocolError};

fn data(stream: u32, bytes: &[u8], end: bool) -> Seen {
    Seen::Data(stream, bytes.to_vec(), end)
}

/// DATA frames: their flags and their bytes.
type Parts<'a> = &'a [(u8, &'a [u8])];

/// A server with the smallest windows.
fn small() -> Wire {
    let (stream_window, connection_window) = (65_535, 65_535);
    Wire::server_with(ConnectionConfig {
        stream_window,
        connection_window,
        ..ConnectionConfig::default()
    })
}

fn settings(name: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &setting(name, value))
}

fn update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// The lengths of the DATA frames that were sent, negative for the last one.
fn lengths(wire: &mut Wire) -> Vec<i64> {
    let sent = wire.sent().into_iter().filter(|frame| frame.kind == DATA);
    let length = |frame: Frame| {
        let length = i64::try_from(frame.payload.len()).unwrap();
        if frame.flags & END_STREAM != 0 { -length } else { length }
    };
    sent.map(length).collect()
}

#[test]
fn data_is_passed_on_as_it_arrives_and_without_padding() {
    let mut wire = Wire::server();
    wire.post(1);
    let bytes = frame(DATA, PADDED | END_STREAM, 1, b"\x03abcd\0\0\0");
    assert_eq!(wire.sees(&bytes[..12]), [data(1, b"ab", false)]);
    assert_eq!(wire.sees(&bytes[12..14]), [data(1, b"cd", true)]);
    assert_eq!(wire.sees(&bytes[14..15]), []);
    assert_eq!(wire.sees(&[&bytes[15..], &frame(PING, 0, 0, &[0; 8])].concat()), []);
    wire.post(3);
    assert_eq!(wire.sees(&frame(DATA, 0, 3, b"")), []);
    assert_eq!(wire.sees(&frame(DATA, PADDED, 3, b"\x02\0\0")), []);
    assert_eq!(wire.sees(&frame(DATA, END_STREAM, 3, b"")), [data(3, b"", true)]);
}

#[test]
fn a_body_has_the_announced_length() {
    let cases: [(Parts<'_>, bool); 6] = [
        (&[(1, b"abcd")], true),
        (&[(0, b"ab"), (0, b"cd"), (1, b"")], true),
        (&[(1, b"abc")], false),
        (&[(0, b"abcde")], false),
        (&[(0, b"abcd"), (0, b"e")], false),
        (&[(0, b"ab"), (1, b"c")], false),
    ];
    for (frames, valid) in cases {
        let mut wire = Wire::server();
        let list = [POST, &[("content-length", "4")]].concat();
        let headers = wire.headers(END_HEADERS, 1, &list);
        wire.sees(&headers);
        let bytes: Vec<_> =
            frames.iter().map(|(flags, part)| frame(DATA, *flags, 1, part)).collect();
        let seen = wire.sees(&bytes.concat());
        match valid {
            true => assert!(matches!(seen.last(), Some(Seen::Data(1, _, true)))),
            false => {
                assert_eq!(seen.last(), Some(&Seen::Malformed(1, Fault::BodyLength)));
                assert_eq!(wire.resets(), [(1, ProtocolError)]);
            }
        }
        wire.get(3);
    }
    let mut wire = Wire::server();
    let list = [POST, &[("content-length", "4")]].concat();
    let headers = wire.headers(END_HEADERS, 1, &list);
    let trailers = wire.headers(ENDS, 1, &[("x", "y")]);
    let bytes = [headers, frame(DATA, 0, 1, b"abc"), trailers].concat();
    assert_eq!(wire.sees(&bytes).last(), Some(&Seen::Malformed(1, Fault::BodyLength)));
}

/// curl does so when it has seen the head of an early response.
#[test]
fn a_body_may_end_early_once_its_response_has_begun() {
    let responded = |status, end| {
        let mut wire = Wire::server();
        let list = [POST, &[("content-length", "4")]].concat();
        let headers = wire.headers(END_HEADERS, 1, &list);
        wire.sees(&headers);
        wire.respond(1, status, end);
        wire
    };
    for part in [&b""[..], b"abc"] {
        let mut wire = responded(413, End::No);
        assert_eq!(wire.sees(&frame(DATA, END_STREAM, 1, part)), [Seen::Truncated(1)]);
        assert_eq!(wire.connection.send_data(id(1), b"too large", End::Yes), 9);
        assert!(!wire.connection.is_open(id(1)));
        assert_eq!(wire.resets(), []);
        wire.get(3);
    }
    // The whole response went before.
    let mut wire = responded(413, End::Yes);
    assert_eq!(wire.sees(&frame(DATA, END_STREAM, 1, b"abc")), [Seen::Truncated(1)]);
    assert!(!wire.connection.is_open(id(1)));
    assert_eq!(wire.resets(), []);
    // A body that is too long stays malformed, and an interim response begins nothing.
    for (status, part) in [(413, &b"abcde"[..]), (100, b"abc")] {
        let mut wire = responded(status, End::No);
        let seen = wire.sees(&frame(DATA, END_STREAM, 1, part));
        assert_eq!(seen, [Seen::Malformed(1, Fault::BodyLength)]);
        assert_eq!(wire.resets(), [(1, ProtocolError)]);
    }
}

#[test]
fn data_beyond_a_window_is_a_flow_control_error() {
    let mut wire = small();
    wire.post(1);
    wire.post(3);
    for _ in 0..3 {
        wire.sees(&frame(DATA, 0, 1, &[0; 16_384]));
    }
    wire.sees(&frame(DATA, 0, 1, &[0; 16_383]));
    assert_eq!(wire.error(&frame(DATA, 0, 3, b"x")), FlowControl);

    let mut wire = Wire::server_with(ConnectionConfig {
        stream_window: 65_535,
        ..ConnectionConfig::default()
    });
    wire.post(1);
    for _ in 0..3 {
        wire.sees(&frame(DATA, 0, 1, &[0; 16_384]));
    }
    assert_eq!(wire.sees(&frame(DATA, 0, 1, &[0; 16_384])), [Seen::Reset(1, FlowControl)]);
    assert_eq!(wire.resets(), [(1, FlowControl)]);
    wire.post(3);
    assert_eq!(wire.sees(&frame(DATA, 1, 3, b"x")), [data(3, b"x", true)]);
}

#[test]
fn consumed_bytes_are_credited_in_halves_of_a_window() {
    let mut wire = small();
    wire.post(1);
    for _ in 0..3 {
        wire.sees(&frame(DATA, 0, 1, &[0; 16_384]));
    }
    wire.connection.consumed(id(1), 32_767);
    assert_eq!(wire.sent(), []);
    wire.connection.consumed(id(1), 1);
    let sent = wire.sent();
    let updates: Vec<_> = sent.iter().map(|frame| (frame.stream, frame.number())).collect();
    assert_eq!(updates, [(0, 32_768), (1, 32_768)]);
    // A side that has ended needs no credit, nor does a stream that is gone.
    wire.sees(&frame(DATA, 1, 1, &[0; 16_384]));
    wire.connection.reset(id(1), ErrorCode::Cancel);
    wire.sent();
    wire.connection.consumed(id(1), 32_768);
    let updates: Vec<_> = wire.sent().iter().map(|frame| (frame.stream, frame.number())).collect();
    assert_eq!(updates, [(0, 32_768)]);
}

#[test]
fn padding_is_credited_without_the_caller() {
    let mut wire = small();
    wire.post(1);
    let payload = [&[255][..], &[0; 255]].concat();
    for _ in 0..200 {
        wire.sees(&[frame(DATA, PADDED, 1, &payload), frame(DATA, 0, 1, b"x")].concat());
    }
    assert_eq!(wire.sent().len(), 2);
}

#[test]
fn the_byte_that_says_how_long_padding_is_has_credit_too() {
    let mut wire = small();
    wire.post(1);
    for _ in 0..16_384 {
        assert_eq!(wire.sent(), []);
        wire.sees(&frame(DATA, PADDED, 1, b"\0x"));
        wire.connection.consumed(id(1), 1);
    }
    let updates: Vec<_> = wire.sent().iter().map(|frame| (frame.stream, frame.number())).collect();
    assert_eq!(updates, [(0, 32_768), (1, 32_768)]);
}

#[test]
fn a_window_that_opens_behind_the_end_of_this_side_is_no_event() {
    let mut wire = Wire::server();
    wire.sees(&settings(4, 0));
    wire.post(1);
    wire.respond(1, 413, End::Yes);
    assert!(wire.connection.is_open(id(1)));
    assert_eq!(wire.sees(&update(1, 10)), []);
    wire.post(3);
    assert_eq!(wire.sees(&update(3, 10)), [Seen::Writable(Some(3))]);
}

#[test]
fn long_data_is_split_into_frames_that_fill_tls_records() {
    let mut wire = Wire::server();
    wire.get(1);
    wire.respond(1, 200, End::No);
    for (length, parts) in [
        (16_384, &[16_384][..]),
        (16_385, &[16_375, 10]),
        (4 * frame::DATA_PART, &[frame::DATA_PART; 4]),
    ] {
        let windows = [settings(4, 1 << 20), update(0, 65_535)].concat();
        wire.sees(&windows);
        wire.sent();
        assert_eq!(wire.connection.send_data(id(1), &vec![7; length], End::No), length);
        let parts: Vec<_> = parts.iter().map(|part| i64::try_from(*part).unwrap()).collect();
        assert_eq!(lengths(&mut wire), parts);
    }
}

#[test]
fn data_is_sent_as_far_as_both_windows_go() {
    let mut wire = Wire::server();
    wire.sees(&settings(4, 20_000));
    wire.get(1);
    assert_eq!(wire.connection.send_data(id(1), b"too early", End::No), 0);
    wire.respond(1, 200, End::No);
    wire.sent();
    assert_eq!(wire.connection.capacity(id(1)), 20_000);
    assert_eq!(wire.connection.send_data(id(1), &[7; 30_000], End::Yes), 20_000);
    assert_eq!(lengths(&mut wire), [16_375, 3_625]);
    assert_eq!(wire.connection.send_data(id(1), &[7; 10_000], End::Yes), 0);
    assert_eq!(wire.sees(&update(1, 9_000)), [Seen::Writable(Some(1))]);
    assert_eq!(wire.sees(&update(1, 2_000)), []);
    assert_eq!(wire.connection.send_data(id(1), &[7; 10_000], End::Yes), 10_000);
    assert_eq!(lengths(&mut wire), [-10_000]);
    assert_eq!(wire.connection.capacity(id(1)), 0);
    assert_eq!(wire.connection.send_data(id(1), b"", End::Yes), 0);

    // 65,535 - 30,000 bytes are left for all streams.
    wire.sees(&settings(4, 1_000_000));
    wire.get(3);
    wire.respond(3, 200, End::No);
    assert_eq!(wire.connection.send_data(id(3), &[7; 100_000], End::No), 35_535);
    assert_eq!(wire.sees(&update(0, 1)), [Seen::Writable(None)]);
    assert_eq!(wire.connection.capacity(id(3)), 1);
}

#[test]
fn the_output_grows_once_for_a_piece_of_a_body() {
    let mut wire = Wire::server();
    wire.get(1);
    wire.respond(1, 200, End::No);
    wire.sent();
    wire.connection.send_data(id(1), &[7; 20_000], End::No);
    // The bytes, and the headers of two frames.
    assert_eq!(wire.connection.output.len(), 20_018);
    assert!(wire.connection.output.capacity() < 20_100);
}

#[test]
fn a_stream_that_this_side_has_ended_has_no_capacity() {
    let mut wire = Wire::server();
    wire.post(1);
    assert_eq!(wire.connection.capacity(id(1)), 65_535);
    wire.respond(1, 413, End::Yes);
    assert!(wire.connection.is_open(id(1)));
    assert_eq!(wire.connection.capacity(id(1)), 0);
}

#[test]
fn an_end_needs_no_window() {
    let mut wire = Wire::server();
    wire.sees(&settings(4, 0));
    wire.get(1);
    wire.respond(1, 200, End::No);
    assert_eq!(wire.connection.send_data(id(1), b"x", End::Yes), 0);
    wire.connection.send_data(id(1), b"", End::Yes);
    assert_eq!(lengths(&mut wire), [0]);
    assert!(!wire.connection.is_open(id(1)));
}

#[test]
fn a_new_initial_window_applies_to_open_streams_and_may_make_them_negative() {
    let mut wire = Wire::server();
    wire.get(1);
    wire.respond(1, 200, End::No);
    assert_eq!(wire.connection.send_data(id(1), &[7; 3], End::No), 3);
    assert_eq!(wire.sees(&settings(4, 2)), []);
    assert_eq!(wire.connection.capacity(id(1)), 0);
    assert_eq!(wire.sees(&update(1, 1)), []);
    assert_eq!(wire.sees(&update(1, 1)), [Seen::Writable(Some(1))]);
    assert_eq!(wire.connection.capacity(id(1)), 1);
    // The last of several values counts.
    let both = [setting(4, 100), setting(4, 3)].concat();
    assert_eq!(wire.sees(&frame(SETTINGS, 0, 0, &both)), [Seen::Writable(None)]);
    assert_eq!(wire.connection.capacity(id(1)), 2);
    // The sum must fit.
    wire.sees(&update(1, 1_000));
    assert_eq!(wire.error(&settings(4, (1 << 31) - 1)), FlowControl);
}

#[test]
fn after_an_early_answer_the_upload_is_still_read() {
    let mut wire = Wire::server();
    wire.post(1);
    wire.respond(1, 413, End::Yes);
    assert!(wire.connection.is_open(id(1)));
    assert_eq!(wire.sees(&frame(DATA, 0, 1, b"ab")), [data(1, b"ab", false)]);
    assert_eq!(wire.resets(), []);
    assert_eq!(wire.sees(&frame(DATA, 1, 1, b"c")), [data(1, b"c", true)]);
    assert!(!wire.connection.is_open(id(1)));
    // The end must not be an error for what is behind it.
    wire.post(3);
    wire.respond(3, 413, End::Yes);
    wire.connection.reset(id(3), ErrorCode::NoError);
    assert_eq!(wire.resets(), [(3, ErrorCode::NoError)]);
    assert_eq!(wire.sees(&frame(DATA, 1, 3, b"late")), []);
}

#[test]
fn long_heads_are_split_and_trailers_end_a_response() {
    let mut wire = Wire::server();
    wire.get(1);
    let value = "v".repeat(20_000);
    let names: Vec<_> = (0..3).map(|number| format!("x-{number}")).collect();
    let list: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    let response = ResponseHead { status: 200, fields: fields(&list), ..ResponseHead::default() };
    wire.connection.respond(id(1), &response, End::No);
    wire.connection.send_data(id(1), b"body", End::No);
    wire.connection.send_trailers(id(1), &fields(&[("x-sum", "1")]));
    let sent = wire.sent();
    let shape: Vec<_> = sent.iter().map(|frame| (frame.kind, frame.flags)).collect();
    let (head, rest) = shape.split_at(shape.len() - 2);
    assert_eq!(rest, [(DATA, 0), (HEADERS, ENDS)]);
    assert_eq!(head.first(), Some(&(HEADERS, 0)));
    assert_eq!(head.last(), Some(&(CONTINUATION, END_HEADERS)));
    assert!(sent.iter().all(|frame| frame.payload.len() <= 16_384));
    let block: Vec<_> =
        sent[..head.len()].iter().flat_map(|frame| &frame.payload).copied().collect();
    let decoded = wire.decode(&block);
    assert_eq!(decoded[0], (":status".into(), "200".into()));
    assert_eq!(decoded[3], ("x-2".into(), value));
    assert_eq!(wire.decode(&sent.last().unwrap().payload), [("x-sum".into(), "1".into())]);
    // Without fields, an empty DATA frame ends the response.
    wire.get(3);
    wire.respond(3, 200, End::No);
    wire.connection.send_trailers(id(3), &Fields::default());
    assert_eq!(lengths(&mut wire), [0]);
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let mut wire = Wire::server();
    wire.post(1);
    wire.respond(1, 100, End::Yes);
    wire.respond(1, 103, End::No);
    assert!(wire.connection.is_answerable(id(1)));
    wire.respond(1, 204, End::Yes);
    assert!(!wire.connection.is_answerable(id(1)) && !wire.connection.is_answerable(id(3)));
    wire.respond(1, 500, End::Yes);
    let sent = wire.sent();
    let flags: Vec<_> = sent.iter().map(|frame| frame.flags).collect();
    assert_eq!(flags, [END_HEADERS, END_HEADERS, ENDS]);
}
