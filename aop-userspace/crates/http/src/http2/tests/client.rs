//! The client's side.

use super::*;
use crate::message::BodyLength;

use ErrorCode::{Cancel, NoError, ProtocolError, RefusedStream, StreamClosed};

impl Wire {
    fn open(&mut self, method: &str, end: End) -> u32 {
        self.connection.open(&request(method, &[]), end).unwrap().get()
    }

    fn response(&mut self, flags: u8, stream: u32, list: &[(&str, &str)]) -> Vec<Seen> {
        let headers = self.headers(flags, stream, list);
        self.sees(&headers)
    }
}

const OK: &[(&str, &str)] = &[(":status", "200")];

#[test]
fn the_client_begins_with_the_preface_and_forbids_push() {
    let mut connection = Connection::client(ConnectionConfig::default());
    let output = connection.output();
    let (preface, frames) = output.split_at(super::super::connection::PREFACE.len());
    assert_eq!(preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(parse(frames)[0].payload.chunks(6).any(|found| found == setting(2, 0)));
    let mut wire = Wire::client();
    wire.open("GET", End::Yes);
    assert_eq!(wire.error(&frame(PUSH_PROMISE, 4, 1, &[0; 5])), ProtocolError);
    let mut wire = Wire::client();
    assert_eq!(wire.error(&frame(SETTINGS, 0, 0, &setting(2, 1))), ProtocolError);
}

#[test]
fn a_request_is_sent_with_its_pseudo_fields_first() {
    let mut wire = Wire::client();
    let mut get = request("GET", &[("x", "y")]);
    get.scheme.clear();
    assert_eq!(wire.connection.open(&get, End::Yes), Some(id(1)));
    let connect = RequestHead { path: Vec::new(), scheme: Vec::new(), ..request("CONNECT", &[]) };
    assert_eq!(wire.connection.open(&connect, End::No), Some(id(3)));
    let sent = wire.sent();
    let text = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    assert_eq!((sent[0].flags, sent[1].flags), (ENDS, END_HEADERS));
    let expected = text(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", "/x?y"),
        ("x", "y"),
    ]);
    assert_eq!(wire.decode(&sent[0].payload), expected);
    let expected = text(&[(":method", "CONNECT"), (":authority", "a.test")]);
    assert_eq!(wire.decode(&sent[1].payload), expected);
}

#[test]
fn extended_connect_needs_the_servers_setting() {
    let mut wire = Wire::client();
    let websocket = RequestHead { protocol: b"websocket".to_vec(), ..request("CONNECT", &[]) };
    assert_eq!(wire.connection.open(&websocket, End::No), None);
    wire.sees(&frame(SETTINGS, 0, 0, &setting(8, 1)));
    assert!(wire.connection.can_connect_extended());
    assert!(wire.connection.open(&websocket, End::No).is_some());
}

#[test]
fn interim_and_final_responses_arrive_in_order() {
    let mut wire = Wire::client();
    wire.open("POST", End::No);
    assert_eq!(wire.response(4, 1, &[(":status", "103")]), [Seen::Response(1, 103, false)]);
    assert_eq!(wire.response(4, 1, OK), [Seen::Response(1, 200, false)]);
    assert_eq!(wire.connection.response().body, BodyLength::Unknown);
    assert_eq!(wire.sees(&frame(DATA, 0, 1, b"x")), [Seen::Data(1, b"x".to_vec(), false)]);
    assert_eq!(wire.response(ENDS, 1, &[("x", "y")]), [Seen::Trailers(1)]);
    assert!(wire.connection.is_open(id(1)));
    wire.connection.send_data(id(1), b"late", End::Yes);
    assert!(!wire.connection.is_open(id(1)));
    let headers = wire.headers(ENDS, 1, OK);
    assert_eq!(wire.error(&headers), StreamClosed);
}

#[test]
fn a_malformed_response_resets_its_stream_alone() {
    let cases: [(u8, List<'_>, Fault); 11] = [
        (4, &[], Fault::PseudoField),
        (4, &[(":status", "99")], Fault::PseudoField),
        (4, &[(":status", "099")], Fault::PseudoField),
        (4, &[(":status", "+20")], Fault::PseudoField),
        (4, &[(":status", "101")], Fault::PseudoField),
        (ENDS, &[(":status", "100")], Fault::PseudoField),
        (4, &[(":status", "200"), (":status", "200")], Fault::PseudoField),
        (4, &[(":status", "200"), (":path", "/")], Fault::PseudoField),
        (4, &[(":status", "200"), ("connection", "close")], Fault::ConnectionField),
        (4, &[(":status", "200"), ("content-length", "1, 2")], Fault::Length),
        (ENDS, &[(":status", "200"), ("content-length", "1")], Fault::BodyLength),
    ];
    for (flags, list, fault) in cases {
        let mut wire = Wire::client();
        wire.open("GET", End::Yes);
        wire.open("GET", End::Yes);
        wire.sent();
        assert_eq!(wire.response(flags, 1, list), [Seen::Malformed(1, fault)], "{list:?}");
        assert_eq!(wire.resets(), [(1, ProtocolError)]);
        assert_eq!(wire.response(ENDS, 3, OK), [Seen::Response(3, 200, true)]);
    }
    // DATA before the head.
    let mut wire = Wire::client();
    wire.open("GET", End::Yes);
    let seen = wire.sees(&frame(DATA, 0, 1, b"x"));
    assert_eq!(seen, [Seen::Malformed(1, Fault::PseudoField)]);
}

#[test]
fn the_length_of_a_body_follows_the_method_and_the_status() {
    let length = |number| ("content-length", number);
    let cases = [
        ("GET", "200", Some(length("3")), BodyLength::Known(3)),
        ("GET", "200", Some(length("0")), BodyLength::Known(0)),
        ("HEAD", "200", Some(length("3")), BodyLength::Empty),
        ("GET", "304", Some(length("3")), BodyLength::Empty),
        ("GET", "204", Some(length("3")), BodyLength::Empty),
        ("CONNECT", "200", Some(length("3")), BodyLength::Unknown),
        ("CONNECT", "400", Some(length("3")), BodyLength::Known(3)),
        ("GET", "200", None, BodyLength::Unknown),
    ];
    for (method, status, length, body) in cases {
        let mut wire = Wire::client();
        wire.open(method, End::Yes);
        let list: Vec<_> = std::iter::once((":status", status)).chain(length).collect();
        wire.response(4, 1, &list);
        let response = wire.connection.response();
        assert_eq!(response.body, body, "{method} {status}");
        let kept = length.is_some() && status != "204" && body != BodyLength::Unknown;
        assert_eq!(response.fields.contains(b"content-length"), kept, "{method} {status}");
        if body == BodyLength::Empty {
            let seen = wire.sees(&frame(DATA, 0, 1, b"x"));
            assert_eq!(seen, [Seen::Malformed(1, Fault::BodyLength)]);
        }
    }
    // HEAD with END_STREAM and a length is well-formed.
    let mut wire = Wire::client();
    wire.open("HEAD", End::Yes);
    let list = [(":status", "200"), ("content-length", "3")];
    assert_eq!(wire.response(ENDS, 1, &list), [Seen::Response(1, 200, true)]);
    // A response that ends with its head has no body, that of a tunnel too.
    for method in ["GET", "CONNECT"] {
        let mut wire = Wire::client();
        wire.open(method, End::No);
        assert_eq!(wire.response(ENDS, 1, OK), [Seen::Response(1, 200, true)]);
        assert_eq!(wire.connection.response().body, BodyLength::Empty);
    }
}

#[test]
fn the_servers_settings_limit_streams_and_windows() {
    let mut connection = Connection::client(ConnectionConfig::default());
    // Before they arrive, a hundred streams may be opened.
    for _ in 0..100 {
        assert!(connection.open(&request("GET", &[]), End::Yes).is_some());
    }
    assert!(!connection.can_open());
    let mut wire = Wire::new(connection);
    let both = [setting(3, 101), setting(4, 10)].concat();
    assert_eq!(wire.sees(&frame(SETTINGS, 0, 0, &both)), [Seen::Writable(None)]);
    assert_eq!(wire.open("POST", End::No), 201);
    assert_eq!(wire.connection.send_data(id(201), &[0; 20], End::No), 10);
    assert!(!wire.connection.can_open());
    assert_eq!(wire.connection.open(&request("GET", &[]), End::Yes), None);
    assert_eq!(wire.response(ENDS, 1, OK), [Seen::Response(1, 200, true)]);
    assert!(wire.connection.can_open());
    // Without a value there is no limit but the client's own.
    let mut wire = Wire::client();
    for _ in 0..200 {
        wire.open("GET", End::Yes);
    }
    assert!(!wire.connection.can_open());
}

#[test]
fn a_reset_tells_whether_the_server_acted() {
    let mut wire = Wire::client();
    wire.open("GET", End::Yes);
    let reset = frame(RST_STREAM, 0, 1, &RefusedStream.get().to_be_bytes());
    assert_eq!(wire.sees(&reset), [Seen::Reset(1, RefusedStream)]);
    // Early response: the rest of the request is unwanted (RFC 9113, 8.1).
    wire.open("POST", End::No);
    wire.response(ENDS, 3, OK);
    let reset = frame(RST_STREAM, 0, 3, &NoError.get().to_be_bytes());
    assert_eq!(wire.sees(&reset), [Seen::Reset(3, NoError)]);
    // Frames that are under way to a cancelled stream are ignored.
    wire.open("GET", End::Yes);
    wire.connection.reset(id(5), Cancel);
    assert_eq!(wire.response(4, 5, OK), []);
    assert_eq!(wire.sees(&frame(DATA, 1, 5, b"x")), []);
}

#[test]
fn streams_above_the_last_one_of_a_goaway_were_refused() {
    let mut wire = Wire::client();
    for _ in 0..4 {
        wire.open("GET", End::Yes);
    }
    let go_away = |last: u32, code: ErrorCode| {
        let payload = [last.to_be_bytes(), code.get().to_be_bytes()].concat();
        frame(GOAWAY, 0, 0, &[&payload[..], b"debug data"].concat())
    };
    assert_eq!(wire.sees(&go_away(0x7fff_ffff, NoError)), [Seen::GoAway(0x7fff_ffff, NoError)]);
    assert!(!wire.connection.can_open());
    let seen = wire.sees(&go_away(3, NoError));
    let refused = [7, 5].map(|stream| Seen::Reset(stream, RefusedStream));
    assert_eq!(seen, [&[Seen::GoAway(3, NoError)][..], &refused].concat());
    assert_eq!(wire.response(ENDS, 1, OK), [Seen::Response(1, 200, true)]);
    assert!(!wire.connection.is_shut_down());
    assert_eq!(wire.response(ENDS, 3, OK), [Seen::Response(3, 200, true)]);
    assert!(wire.connection.is_shut_down());
}

#[test]
fn a_server_opens_no_stream() {
    for stream in [1, 2, 3] {
        let mut wire = Wire::client();
        let headers = wire.headers(ENDS, stream, OK);
        assert_eq!(wire.error(&headers), ProtocolError);
    }
}

#[test]
fn identifiers_run_out() {
    let mut wire = Wire::client();
    wire.connection.past.open(id(0x7fff_fffd));
    assert_eq!(wire.open("GET", End::Yes), 0x7fff_ffff);
    assert!(!wire.connection.can_open());
}

#[test]
fn a_ping_is_a_sign_of_life() {
    let mut wire = Wire::client();
    assert!(!wire.connection.is_ping_pending());
    wire.connection.ping();
    wire.connection.ping();
    let sent = wire.sent();
    assert_eq!((sent.len(), sent[0].kind, sent[0].flags), (1, PING, 0));
    wire.sees(&frame(PING, 1, 0, &[0; 8]));
    assert!(wire.connection.is_ping_pending());
    wire.sees(&frame(PING, 1, 0, &sent[0].payload));
    assert!(!wire.connection.is_ping_pending());
}
