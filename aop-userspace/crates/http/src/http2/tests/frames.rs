//! Frames that are malformed, misplaced or unknown (RFC 9113, 3.4, 4 and 6).

use super::*;

use ErrorCode::{Compression, EnhanceYourCalm, FlowControl, FrameSize, ProtocolError};

#[test]
fn the_server_begins_with_settings_and_the_window_of_the_connection() {
    let mut connection = Connection::server(ConnectionConfig::default());
    let frames = parse(connection.output());
    let kinds: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.stream)).collect();
    assert_eq!(kinds, [(SETTINGS, 0), (WINDOW_UPDATE, 0)]);
    for expected in [setting(3, 200), setting(4, 256 * 1024), setting(6, 136 * 1024)] {
        assert!(frames[0].payload.chunks(6).any(|found| found == expected));
    }
    assert_eq!(frames[1].number(), 200 * 256 * 1024 - 65_535);
}

#[test]
fn a_wrong_preface_ends_the_connection() {
    for wrong in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSX", b"\0"] {
        let mut wire = Wire::new(Connection::server(ConnectionConfig::default()));
        assert_eq!(wire.error(wrong), ProtocolError);
    }
}

#[test]
fn the_first_frame_is_settings() {
    for first in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 1, 0, &[]), frame(DATA, 0, 1, &[])] {
        let mut wire = Wire::new(Connection::server(ConnectionConfig::default()));
        wire.sees(super::super::connection::PREFACE);
        assert_eq!(wire.error(&first), ProtocolError);
        let mut wire = Wire::new(Connection::client(ConnectionConfig::default()));
        wire.connection.output.clear();
        assert_eq!(wire.error(&first), ProtocolError);
    }
}

#[test]
fn settings_and_pings_are_acknowledged() {
    let mut wire = Wire::server();
    let unknown = setting(0xff, 1);
    assert_eq!(wire.sees(&frame(SETTINGS, 0, 0, &unknown)), []);
    assert_eq!(wire.sees(&frame(PING, 0, 0, b"h2spec\0\0")), []);
    assert_eq!(wire.sees(&frame(PING, 1, 0, b"unknown.")), []);
    assert_eq!(wire.sees(&frame(SETTINGS, 1, 0, &[])), []);
    let ack = |kind, payload: &[u8]| Frame { kind, flags: 1, stream: 0, payload: payload.into() };
    assert_eq!(wire.sent(), [ack(SETTINGS, b""), ack(PING, b"h2spec\0\0")]);
}

#[test]
fn unknown_frames_flags_and_the_reserved_bit_are_ignored() {
    let mut wire = Wire::server();
    wire.sees(&frame(0x16, 0xff, 7, &[0; 8]));
    // PRIORITY_UPDATE of RFC 9218.
    wire.sees(&frame(0x10, 0, 0, b"\0\0\0\x01u=1"));
    wire.sees(&frame(PING, 0x16, 0, &[0; 8]));
    wire.sees(&frame(PING, 0, 0x8000_0000, &[0; 8]));
    assert_eq!(wire.sent().len(), 2);
}

#[test]
fn a_frame_above_16384_bytes_is_refused_before_its_payload_arrives() {
    for kind in [DATA, HEADERS, SETTINGS, 0x20] {
        let mut wire = Wire::server();
        wire.post(1);
        assert_eq!(wire.error(&frame(kind, 0, 1, &[0; 16_385])[..9]), FrameSize);
    }
    let mut wire = Wire::server();
    wire.post(1);
    let payload = vec![7; 16_384];
    assert_eq!(wire.sees(&frame(DATA, 1, 1, &payload)), [Seen::Data(1, payload, true)]);
}

#[test]
fn a_frame_of_a_stream_needs_one_and_a_frame_of_the_connection_has_none() {
    let long = [0; 8];
    for kind in [DATA, HEADERS, RST_STREAM, PRIORITY, CONTINUATION] {
        assert_eq!(Wire::server().error(&frame(kind, 0, 0, &long)), ProtocolError, "{kind}");
    }
    for kind in [SETTINGS, PING, GOAWAY] {
        assert_eq!(Wire::server().error(&frame(kind, 0, 1, &long)), ProtocolError, "{kind}");
    }
}

#[test]
fn a_frame_has_the_length_of_its_fields() {
    let mut wrong = vec![
        frame(RST_STREAM, 0, 1, &[0; 3]),
        frame(PING, 0, 0, &[0; 6]),
        frame(SETTINGS, 0, 0, &[0; 3]),
        frame(SETTINGS, 1, 0, &[0; 6]),
        frame(GOAWAY, 0, 0, &[0; 7]),
        frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
        frame(WINDOW_UPDATE, 0, 1, &[0; 5]),
        frame(DATA, PADDED, 1, &[]),
        frame(HEADERS, PADDED, 3, &[]),
        frame(HEADERS, frame::PRIORITY, 3, &[0; 4]),
    ];
    for frame in wrong.drain(..) {
        let mut wire = Wire::server();
        wire.post(1);
        assert_eq!(wire.error(&frame), FrameSize, "{frame:?}");
    }
}

#[test]
fn padding_is_shorter_than_its_frame() {
    let mut wire = Wire::server();
    wire.post(1);
    assert_eq!(wire.error(&frame(DATA, PADDED, 1, &[5, 0, 0, 0, 0])), ProtocolError);
    assert_eq!(Wire::server().error(&frame(HEADERS, PADDED, 1, &[2, 0])), ProtocolError);
}

#[test]
fn settings_have_valid_values() {
    let wrong = [
        (2, 2, ProtocolError),
        (4, 1 << 31, FlowControl),
        (5, 16_383, ProtocolError),
        (5, 1 << 24, ProtocolError),
        (8, 2, ProtocolError),
    ];
    for (name, value, code) in wrong {
        let mut wire = Wire::server();
        assert_eq!(wire.error(&frame(SETTINGS, 0, 0, &setting(name, value))), code, "{name}");
    }
    for (name, value) in [(2, 0), (2, 1), (4, (1 << 31) - 1), (5, 16_384), (5, (1 << 24) - 1)] {
        Wire::server().sees(&frame(SETTINGS, 0, 0, &setting(name, value)));
    }
    // Extended CONNECT is never withdrawn (RFC 8441, 3).
    let mut wire = Wire::server();
    let both = [setting(8, 1), setting(8, 0)].concat();
    assert_eq!(wire.error(&frame(SETTINGS, 0, 0, &both)), ProtocolError);
}

#[test]
fn a_client_pushes_nothing() {
    assert_eq!(Wire::server().error(&frame(PUSH_PROMISE, 4, 1, &[0; 4])), ProtocolError);
}

#[test]
fn nothing_comes_between_the_frames_of_a_header_block() {
    let others = [
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]),
        frame(0x16, 0, 0, &[]),
        frame(DATA, 0, 1, &[]),
        frame(HEADERS, 4, 1, &[]),
        frame(HEADERS, 4, 3, &[]),
        frame(CONTINUATION, 4, 3, &[]),
        frame(CONTINUATION, 4, 0, &[]),
    ];
    for other in others {
        let mut wire = Wire::server();
        let headers = wire.headers(0, 1, GET);
        wire.sees(&headers);
        assert_eq!(wire.error(&other), ProtocolError, "{other:?}");
    }
}

#[test]
fn continuation_continues_a_block() {
    let mut wire = Wire::server();
    wire.post(1);
    assert_eq!(wire.error(&frame(CONTINUATION, 4, 1, &[])), ProtocolError);
    let mut wire = Wire::server();
    let block = wire.block(GET);
    wire.sees(&frame(HEADERS, END_STREAM, 1, &block[..1]));
    for byte in &block[1..] {
        assert_eq!(wire.sees(&frame(CONTINUATION, 0, 1, &[*byte])), []);
    }
    assert_eq!(wire.sees(&frame(CONTINUATION, 4, 1, &[])), [Seen::Request(1, true)]);
    assert_eq!(wire.error(&frame(CONTINUATION, 4, 1, &[])), ProtocolError);
}

#[test]
fn a_block_of_too_many_frames_or_bytes_ends_the_connection() {
    let mut wire = Wire::server();
    wire.sees(&frame(HEADERS, 0, 1, &[]));
    for _ in 0..64 {
        wire.sees(&frame(CONTINUATION, 0, 1, &[]));
    }
    assert_eq!(wire.error(&frame(CONTINUATION, 0, 1, &[])), EnhanceYourCalm);
    let mut wire = Wire::server();
    wire.sees(&frame(HEADERS, 0, 1, &[]));
    for _ in 0..34 {
        wire.sees(&frame(CONTINUATION, 0, 1, &[0; 16_384]));
    }
    assert_eq!(wire.error(&frame(CONTINUATION, 0, 1, &[0])), EnhanceYourCalm);
}

#[test]
fn a_block_that_cannot_be_decoded_ends_the_connection() {
    // A literal whose value is missing.
    assert_eq!(Wire::server().error(&frame(HEADERS, ENDS, 1, &[0x40])), Compression);
    // Also where nobody needs the fields.
    let mut wire = Wire::server();
    wire.post(1);
    wire.connection.reset(id(1), ErrorCode::Cancel);
    assert_eq!(wire.error(&frame(HEADERS, ENDS, 1, &[0x80])), Compression);
}

#[test]
fn padding_and_priority_of_headers_are_skipped() {
    let mut wire = Wire::server();
    let block = wire.block(GET);
    let payload = [&[3][..], &[0x80, 0, 0, 9, 200], &block, &[0; 3]].concat();
    let flags = ENDS | PADDED | frame::PRIORITY;
    assert_eq!(wire.sees(&frame(HEADERS, flags, 1, &payload)), [Seen::Request(1, true)]);
    assert_eq!(wire.connection.request().path, b"/");
}
