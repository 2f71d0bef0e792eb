//! The states of streams (RFC 9113, 5.1).

use super::*;

use ErrorCode::{FlowControl, FrameSize, NoError, ProtocolError, RefusedStream, StreamClosed};

/// Stream 1 has ended on both sides.
fn complete() -> Wire {
    let mut wire = Wire::server();
    wire.get(1);
    wire.respond(1, 200, End::Yes);
    assert_eq!(wire.connection.open_streams(), 0);
    wire.sent();
    wire
}

#[test]
fn only_priority_concerns_an_idle_stream() {
    for idle in [1, 2] {
        for frame in [
            frame(DATA, 0, idle, b"x"),
            frame(RST_STREAM, 0, idle, &[0; 4]),
            frame(WINDOW_UPDATE, 0, idle, &[0, 0, 1, 0]),
            frame(CONTINUATION, 4, idle, &[]),
        ] {
            assert_eq!(Wire::server().error(&frame), ProtocolError);
        }
        let mut wire = Wire::server();
        wire.sees(&frame(PRIORITY, 0, idle + 4, &[0, 0, 0, idle as u8, 16]));
        wire.get(1);
        assert_eq!(wire.resets(), []);
    }
}

#[test]
fn a_client_opens_odd_streams_in_ascending_order() {
    let mut wire = Wire::server();
    let headers = wire.headers(ENDS, 2, GET);
    assert_eq!(wire.error(&headers), ProtocolError);
    let mut wire = Wire::server();
    wire.get(5);
    let headers = wire.headers(ENDS, 3, GET);
    assert_eq!(wire.error(&headers), ProtocolError);
    let mut wire = Wire::server();
    wire.get(5);
    assert_eq!(wire.error(&frame(DATA, 0, 3, &[])), ProtocolError);
}

#[test]
fn an_even_stream_is_idle_whatever_its_neighbours_are() {
    for idle in [2, 4] {
        let mut wire = Wire::server();
        wire.get(1);
        wire.get(3);
        wire.respond(3, 200, End::Yes);
        wire.post(5);
        wire.connection.reset(id(5), NoError);
        assert_eq!(wire.error(&frame(RST_STREAM, 0, idle, &[0; 4])), ProtocolError);
    }
}

#[test]
fn a_stream_above_the_limit_is_refused_and_the_others_go_on() {
    let mut wire =
        Wire::server_with(ConnectionConfig { max_streams: 2, ..ConnectionConfig::default() });
    wire.post(1);
    wire.get(3);
    let fields = [GET, &[("x-new", "value of its own")]].concat();
    let headers = wire.headers(END_HEADERS, 5, &fields);
    assert_eq!(wire.sees(&headers), []);
    assert_eq!(wire.resets(), [(5, RefusedStream)]);
    // Frames that were under way are ignored.
    assert_eq!(wire.sees(&frame(DATA, 1, 5, b"body")), []);
    assert_eq!(wire.resets(), []);
    wire.respond(3, 200, End::Yes);
    // The block of the refused stream was decoded: the table is still right.
    let headers = wire.headers(ENDS, 7, &fields);
    assert_eq!(wire.sees(&headers), [Seen::Request(7, true)]);
    assert_eq!(wire.connection.request().fields.first(b"x-new").unwrap(), b"value of its own");
}

#[test]
fn data_after_end_stream_resets_the_stream() {
    let mut wire = Wire::server();
    wire.get(1);
    assert_eq!(wire.sees(&frame(DATA, 1, 1, b"x")), [Seen::Reset(1, StreamClosed)]);
    assert_eq!(wire.resets(), [(1, StreamClosed)]);
    assert_eq!(wire.sees(&frame(DATA, 1, 1, b"x")), []);
    assert_eq!(wire.resets(), []);
}

#[test]
fn headers_after_end_stream_reset_the_stream() {
    let mut wire = Wire::server();
    wire.get(1);
    let headers = wire.headers(ENDS, 1, GET);
    assert_eq!(wire.sees(&headers), [Seen::Reset(1, StreamClosed)]);
    assert_eq!(wire.resets(), [(1, StreamClosed)]);
}

#[test]
fn a_half_closed_stream_takes_window_updates_priority_and_reset() {
    let mut wire = Wire::server();
    wire.get(1);
    wire.sees(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]));
    wire.sees(&frame(PRIORITY, 0, 1, &[0; 5]));
    assert_eq!(
        wire.sees(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        [Seen::Reset(1, ErrorCode::Cancel)]
    );
    assert_eq!((wire.connection.open_streams(), wire.sent().len()), (0, 0));
}

#[test]
fn frames_after_the_peers_reset_are_a_stream_error() {
    for follows in [DATA, HEADERS] {
        let mut wire = Wire::server();
        wire.post(1);
        // An unknown code is nothing special (RFC 9113, 7).
        let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff]);
        assert_eq!(wire.sees(&reset), [Seen::Reset(1, ErrorCode::InternalError)]);
        assert_eq!(wire.sees(&frame(follows, ENDS, 1, &[])), []);
        assert_eq!(wire.resets(), [(1, StreamClosed)]);
        assert_eq!(wire.sees(&frame(follows, ENDS, 1, &[])), []);
        assert_eq!(wire.resets(), []);
    }
}

#[test]
fn data_on_a_complete_stream_is_a_stream_error_and_headers_one_of_the_connection() {
    let mut wire = complete();
    assert_eq!(wire.sees(&frame(DATA, 1, 1, b"x")), []);
    assert_eq!(wire.resets(), [(1, StreamClosed)]);
    let mut wire = complete();
    let headers = wire.headers(ENDS, 1, GET);
    assert_eq!(wire.error(&headers), StreamClosed);
    assert_eq!(complete().error(&frame(CONTINUATION, 4, 1, &[])), ProtocolError);
}

#[test]
fn a_complete_stream_takes_window_updates_priority_and_reset() {
    let mut wire = complete();
    assert_eq!(wire.sees(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 0])), []);
    assert_eq!(wire.sees(&frame(PRIORITY, 0, 1, &[0; 5])), []);
    assert_eq!(wire.sees(&frame(RST_STREAM, 0, 1, &[0; 4])), []);
    assert_eq!(wire.sent(), []);
}

#[test]
fn what_is_under_way_to_a_stream_that_this_side_reset_is_ignored() {
    let mut wire = Wire::server_with(ConnectionConfig {
        connection_window: 65_535,
        ..ConnectionConfig::default()
    });
    wire.post(1);
    wire.connection.reset(id(1), ErrorCode::Cancel);
    assert_eq!(wire.resets(), [(1, ErrorCode::Cancel)]);
    // The connection's window has the bytes back.
    for _ in 0..100 {
        assert_eq!(wire.sees(&frame(DATA, 0, 1, &[0; 8_192])), []);
    }
    let credit: u32 = wire.sent().iter().map(Frame::number).sum();
    assert!((780_000..=819_200).contains(&credit), "{credit}");
    let trailers = wire.headers(ENDS, 1, &[("x", "y")]);
    assert_eq!(wire.sees(&trailers), []);
    wire.get(3);
    // A long-lived stream is older than all that is remembered.
    let mut wire = Wire::server();
    wire.post(1);
    for stream in 1..=2_000 {
        wire.get(stream * 2 + 1);
        wire.respond(stream * 2 + 1, 200, End::Yes);
    }
    wire.connection.reset(id(1), NoError);
    let headers = wire.headers(END_HEADERS, 1, &[("x", "y")]);
    assert_eq!(wire.sees(&[frame(DATA, 0, 1, b"late"), headers].concat()), []);
}

#[test]
fn a_reset_in_the_middle_of_data_skips_the_rest() {
    let mut wire = Wire::server();
    wire.post(1);
    let data = [frame(DATA, 1, 1, b"abcdef"), frame(PING, 0, 0, &[0; 8])].concat();
    assert_eq!(wire.sees(&data[..12]), [Seen::Data(1, b"abc".to_vec(), false)]);
    wire.connection.reset(id(1), NoError);
    assert_eq!(wire.sees(&data[12..]), []);
    assert_eq!(wire.sent().len(), 2);
}

#[test]
fn a_stream_that_depends_on_itself_is_reset() {
    let mut wire = Wire::server();
    let payload = [&[0, 0, 0, 1, 16][..], &wire.block(GET)].concat();
    assert_eq!(wire.sees(&frame(HEADERS, ENDS | frame::PRIORITY, 1, &payload)), []);
    assert_eq!(wire.resets(), [(1, ProtocolError)]);
    wire.post(3);
    let priority = frame(PRIORITY, 0, 3, &[0, 0, 0, 3, 16]);
    assert_eq!(wire.sees(&priority), [Seen::Reset(3, ProtocolError)]);
    assert_eq!(wire.resets(), [(3, ProtocolError)]);
    // RST_STREAM cannot be sent on an idle stream.
    assert_eq!(wire.error(&frame(PRIORITY, 0, 5, &[0, 0, 0, 5, 16])), ProtocolError);
}

#[test]
fn priority_has_five_bytes() {
    let mut wire = Wire::server();
    wire.get(1);
    assert_eq!(wire.sees(&frame(PRIORITY, 0, 1, &[0; 4])), [Seen::Reset(1, FrameSize)]);
    assert_eq!(wire.resets(), [(1, FrameSize)]);
    assert_eq!(complete().error(&frame(PRIORITY, 0, 1, &[0; 4])), FrameSize);
}

#[test]
fn a_window_grows_by_something_and_not_beyond_31_bits() {
    let mut wire = Wire::server();
    wire.post(1);
    let zero = frame(WINDOW_UPDATE, 0, 1, &[0; 4]);
    assert_eq!(wire.sees(&zero), [Seen::Reset(1, ProtocolError)]);
    assert_eq!(wire.resets(), [(1, ProtocolError)]);
    wire.post(3);
    let most = frame(WINDOW_UPDATE, 0, 3, &[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(wire.sees(&most), [Seen::Reset(3, FlowControl)]);
    assert_eq!(wire.resets(), [(3, FlowControl)]);
    assert_eq!(wire.error(&frame(WINDOW_UPDATE, 0, 0, &[0; 4])), ProtocolError);
    let most = frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(Wire::server().error(&most), FlowControl);
}

#[test]
fn a_stream_takes_little_memory() {
    assert!(size_of::<super::super::streams::Stream>() <= 64);
}
