//! The end of a connection (RFC 9113, 5.4.1 and 6.8).

use super::*;

fn last_and_code(frame: &Frame) -> (u32, u8) {
    assert_eq!(frame.kind, GOAWAY);
    (frame.number(), frame.payload[7])
}

#[test]
fn a_shutdown_serves_what_is_under_way() {
    let mut wire = Wire::server();
    wire.get(1);
    wire.connection.shutdown();
    wire.connection.shutdown();
    let sent = wire.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(last_and_code(&sent[0]), (0x7fff_ffff, 0));
    assert_eq!((sent[1].kind, sent[1].flags), (PING, 0));
    // The client has not read it yet.
    wire.get(3);
    wire.respond(1, 200, End::Yes);
    wire.respond(3, 200, End::Yes);
    assert!(!wire.connection.is_shut_down());
    wire.post(5);
    wire.sent();
    wire.sees(&frame(PING, 1, 0, &sent[1].payload));
    assert_eq!(last_and_code(&wire.sent()[0]), (5, 0));
    let headers = wire.headers(ENDS, 7, GET);
    assert_eq!(wire.sees(&headers), []);
    assert_eq!(wire.resets(), [(7, ErrorCode::RefusedStream)]);
    wire.respond(5, 200, End::Yes);
    assert!(!wire.connection.is_shut_down());
    wire.sees(&frame(DATA, 1, 5, &[]));
    assert!(wire.connection.is_shut_down());
    // The final GOAWAY is sent once.
    wire.sent();
    wire.sees(&frame(PING, 1, 0, &sent[1].payload));
    assert_eq!(wire.sent(), []);
}

#[test]
fn a_client_that_shuts_down_opens_nothing_more() {
    let mut wire = Wire::client();
    wire.connection.open(&request("GET", &[]), End::Yes);
    wire.sent();
    wire.connection.shutdown();
    assert_eq!(last_and_code(&wire.sent()[0]), (0, 0));
    assert!(!wire.connection.can_open() && !wire.connection.is_shut_down());
    let headers = wire.headers(ENDS, 1, &[(":status", "200")]);
    wire.sees(&headers);
    assert!(wire.connection.is_shut_down());
}

#[test]
fn a_goaway_of_the_client_ends_the_connection_after_its_streams() {
    let mut wire = Wire::server();
    wire.get(1);
    // An unknown code is nothing special (RFC 9113, 7).
    let go_away = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]);
    assert_eq!(wire.sees(&go_away), [Seen::GoAway(0, ErrorCode::InternalError)]);
    assert!(!wire.connection.is_shut_down());
    wire.respond(1, 200, End::Yes);
    assert!(wire.connection.is_shut_down());
    wire.sees(&frame(PING, 0, 0, &[0; 8]));
    assert_eq!(wire.sent().last().unwrap().kind, PING);
}

#[test]
fn a_failure_names_the_last_stream_that_was_processed() {
    let mut wire =
        Wire::server_with(ConnectionConfig { max_streams: 1, ..ConnectionConfig::default() });
    wire.get(1);
    let headers = wire.headers(ENDS, 3, GET);
    wire.sees(&headers);
    let error = wire.feed(&frame(PING, 0, 0, &[])).unwrap_err();
    wire.sent();
    wire.connection.fail(&error);
    assert_eq!(last_and_code(&wire.sent()[0]), (1, 6));
    assert_eq!(error.to_string(), "a frame has a wrong length (FRAME_SIZE_ERROR)");
}

#[test]
fn memory_is_given_back_at_rest() {
    let mut wire = Wire::server();
    wire.post(1);
    wire.connection.output.reserve(100_000);
    wire.connection.shrink();
    assert!(wire.connection.output.capacity() <= 1_024);
    assert!(wire.connection.is_open(id(1)));
    wire.respond(1, 200, End::Yes);
    wire.connection.reset(id(1), ErrorCode::NoError);
    wire.connection.shrink();
    wire.get(3);
}
