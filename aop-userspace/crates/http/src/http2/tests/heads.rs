//! Requests: their pseudo-header fields and fields (RFC 9113, 8.2 and 8.3), and answers to those
//! that are malformed.

use super::*;
use crate::message::{BodyLength, Version};

/// The fault of a request with these fields, on a server that goes on.
fn fault(list: &[(&str, &str)]) -> Option<Fault> {
    let extended_connect = ExtendedConnect::Accepted;
    let mut wire =
        Wire::server_with(ConnectionConfig { extended_connect, ..ConnectionConfig::default() });
    let headers = wire.headers(ENDS, 1, list);
    let fault = match &wire.sees(&headers)[..] {
        [Seen::Malformed(1, fault)] => Some(*fault),
        [Seen::Request(1, true)] => None,
        other => panic!("{other:?}"),
    };
    assert!(wire.connection.is_answerable(id(1)));
    wire.get(3);
    fault
}

/// The same, for a GET with one more field.
fn field_fault(name: &str, value: &str) -> Option<Fault> {
    fault(&[GET, &[(name, value)]].concat())
}

/// GET with another value of one part, or without it.
fn with(name: &str, value: Option<&str>) -> Option<Fault> {
    let parts = GET.iter().filter_map(|(part, old)| match *part == name {
        true => value.map(|value| (*part, value)),
        false => Some((*part, *old)),
    });
    fault(&parts.collect::<Vec<_>>())
}

#[test]
fn a_request_arrives_with_its_parts() {
    let mut wire = Wire::server();
    let headers = wire.headers(
        ENDS,
        1,
        &[
            (":method", "PATCH"),
            (":path", "/a?b#c"),
            (":scheme", "HTTPS"),
            ("x", " \ty z "),
            ("cookie", "a=b"),
            ("cookie", "c=d"),
            ("te", "trailers"),
        ],
    );
    wire.sees(&headers);
    let got = wire.connection.request();
    assert_eq!((&got.method[..], &got.scheme[..]), (&b"PATCH"[..], &b"https"[..]));
    assert_eq!((&got.path[..], &got.authority[..]), (&b"/a?b"[..], &b""[..]));
    assert_eq!((got.version, got.body), (Version::Http2, BodyLength::Empty));
    let expected = [("x", "y z"), ("cookie", "a=b"), ("cookie", "c=d"), ("te", "trailers")];
    assert_eq!(got.fields, fields(&expected));
}

#[test]
fn a_request_has_each_pseudo_field_once_and_no_other() {
    for part in [":method", ":scheme", ":path"] {
        assert_eq!(with(part, None), Some(Fault::PseudoField), "{part}");
    }
    assert_eq!(with(":authority", None), None);
    for (name, value) in GET {
        assert_eq!(field_fault(name, value), Some(Fault::PseudoField), "{name}");
    }
    for (name, value) in [(":test", "x"), (":status", "200"), (":", ""), (":Path", "/")] {
        assert_eq!(field_fault(name, value), Some(Fault::PseudoField), "{name}");
    }
    let late = [&[("x", "y")], GET].concat();
    assert_eq!(fault(&late), Some(Fault::PseudoField));
}

#[test]
fn pseudo_fields_have_valid_values() {
    for method in ["", "G T", "PRI", "GET\n", "GET ", " GET"] {
        assert_eq!(with(":method", Some(method)), Some(Fault::Method), "{method:?}");
    }
    for scheme in ["", "ftp", "http ://", "https "] {
        assert_eq!(with(":scheme", Some(scheme)), Some(Fault::Target), "{scheme:?}");
    }
    for authority in ["", " a.test", "u@a.test", "a.test/", "a test", "a\\b", "a\0"] {
        assert_eq!(with(":authority", Some(authority)), Some(Fault::Target), "{authority:?}");
    }
    for path in ["", "/a ", "x", "http://a.test/", "/\0", "/ x", "*", "*x"] {
        assert_eq!(with(":path", Some(path)), Some(Fault::Target), "{path:?}");
    }
    let options = [(":method", "OPTIONS"), (":scheme", "http"), (":path", "*")];
    assert_eq!(fault(&options), None);
}

#[test]
fn connect_has_an_authority_alone_unless_it_is_extended() {
    let connect = [(":method", "CONNECT"), (":authority", "a.test:443")];
    let rest = [(":scheme", "https"), (":path", "/")];
    let protocol = [(":protocol", "websocket")];
    assert_eq!(fault(&connect), None);
    assert_eq!(fault(&connect[..1]), Some(Fault::PseudoField));
    assert_eq!(fault(&[&connect[..], &rest].concat()), Some(Fault::PseudoField));
    let extended = [&connect[..], &rest, &protocol].concat();
    assert_eq!(fault(&extended), None);
    assert_eq!(fault(&[&connect[..], &protocol].concat()), Some(Fault::PseudoField));
    assert_eq!(fault(&[GET, &protocol].concat()), Some(Fault::PseudoField));
    for wrong in ["", "web socket"] {
        let list = [&connect[..], &rest, &[(":protocol", wrong)]].concat();
        assert_eq!(fault(&list), Some(Fault::PseudoField), "{wrong:?}");
    }
    // Without the setting, there is no `:protocol`.
    let mut wire = Wire::server();
    let headers = wire.headers(END_HEADERS, 1, &extended);
    assert_eq!(wire.sees(&headers), [Seen::Malformed(1, Fault::PseudoField)]);
}

#[test]
fn fields_have_lower_case_names_and_no_control_characters() {
    for name in ["X-Test", "", "a b", "a:b", "é", "a\0"] {
        assert_eq!(field_fault(name, "x"), Some(Fault::FieldName), "{name:?}");
    }
    for value in ["a\0", "a\r\nb: c", "a\nb", "\x7f"] {
        assert_eq!(field_fault("x", value), Some(Fault::ControlCharacter), "{value:?}");
    }
    assert_eq!(field_fault("x", "é\tü"), None);
}

#[test]
fn fields_of_one_connection_are_refused() {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert_eq!(field_fault(name, "x"), Some(Fault::ConnectionField), "{name}");
    }
    assert_eq!(field_fault("te", "trailers, deflate"), Some(Fault::ConnectionField));
    assert_eq!(field_fault("te", "trailers"), None);
}

#[test]
fn content_length_is_one_number() {
    for value in ["", "x", "-1", "1,1", "9223372036854775808"] {
        assert_eq!(field_fault("content-length", value), Some(Fault::Length), "{value}");
    }
    let mut wire = Wire::server();
    let twice = [POST, &[("content-length", "4"), ("content-length", "04")]].concat();
    let headers = wire.headers(END_HEADERS, 1, &twice);
    assert_eq!(wire.sees(&headers), [Seen::Request(1, false)]);
    assert_eq!(wire.connection.request().fields, fields(&[("content-length", "4")]));
    assert_eq!(wire.connection.request().body, BodyLength::Known(4));
    let differing = [POST, &[("content-length", "4"), ("content-length", "5")]].concat();
    assert_eq!(fault(&differing), Some(Fault::Length));
    assert_eq!(field_fault("content-length", "1"), Some(Fault::BodyLength));
    assert_eq!(field_fault("content-length", "0"), None);
}

#[test]
fn a_list_may_have_the_announced_size_and_not_a_byte_more() {
    // The four fields of GET have 44 bytes, and 32 more each.
    for (length, fault) in [(9, None), (10, Some(Fault::TooLarge))] {
        let max_head = 44 + 5 * 32 + 1 + 9;
        let mut wire = Wire::server_with(ConnectionConfig { max_head, ..Default::default() });
        let value = "v".repeat(length);
        let headers = wire.headers(ENDS, 1, &[GET, &[("x", &value)]].concat());
        let seen = fault.map_or(Seen::Request(1, true), |fault| Seen::Malformed(1, fault));
        assert_eq!(wire.sees(&headers), [seen]);
    }
}

#[test]
fn the_caller_may_take_a_head_out_of_the_connection() {
    let mut wire = Wire::server();
    wire.get(1);
    assert_eq!(std::mem::take(wire.connection.request_mut()).method, b"GET");
    assert_eq!(wire.connection.request().method, b"");
    let mut wire = Wire::client();
    wire.connection.open(&request("GET", &[]), End::Yes);
    let headers = wire.headers(ENDS, 1, &[(":status", "200")]);
    wire.sees(&headers);
    assert_eq!(std::mem::take(wire.connection.response_mut()).status, 200);
    assert_eq!(wire.connection.response().status, 0);
}

#[test]
fn a_list_that_is_too_long_is_refused_alone_and_a_huge_one_ends_the_connection() {
    let value = "v".repeat(3_000);
    let mut list = GET.to_vec();
    list.resize(GET.len() + 46, ("x", value.as_str()));
    let mut wire = Wire::server();
    let block = wire.block(&list);
    // The encoder indexes the field: the block is far smaller than its list.
    assert!(block.len() < 136 * 1024);
    let send = |wire: &mut Wire, stream, block: &[u8]| {
        let mut parts = block.chunks(16_384);
        let mut bytes = frame(HEADERS, END_STREAM, stream, parts.next().unwrap());
        parts.for_each(|part| bytes.extend(frame(CONTINUATION, 0, stream, part)));
        bytes.extend(frame(CONTINUATION, END_HEADERS, stream, &[]));
        wire.feed(&bytes)
    };
    assert_eq!(send(&mut wire, 1, &block), Ok(vec![Seen::Malformed(1, Fault::TooLarge)]));
    wire.get(3);
    list.resize(GET.len() + 190, ("x", value.as_str()));
    let block = wire.block(&list);
    assert_eq!(send(&mut wire, 5, &block).unwrap_err().code, ErrorCode::EnhanceYourCalm);
}

#[test]
fn a_list_of_four_times_the_announced_size_is_the_longest_that_ends_no_connection() {
    // The four fields of GET have 44 bytes, and 32 more each.
    for (length, last) in [(400 - 44 - 5 * 32 - 1, true), (400 - 44 - 5 * 32, false)] {
        let config = ConnectionConfig { max_head: 100, ..ConnectionConfig::default() };
        let mut wire = Wire::server_with(config);
        let value = "v".repeat(length);
        let headers = wire.headers(ENDS, 1, &[GET, &[("x", &value)]].concat());
        match last {
            true => assert_eq!(wire.sees(&headers), [Seen::Malformed(1, Fault::TooLarge)]),
            false => assert_eq!(wire.error(&headers), ErrorCode::EnhanceYourCalm),
        }
    }
}

#[test]
fn a_malformed_request_can_be_answered_and_is_then_reset() {
    let mut wire = Wire::server();
    let bad = [GET, &[("upgrade", "x")]].concat();
    let headers = wire.headers(ENDS, 1, &bad);
    assert_eq!(wire.sees(&headers), [Seen::Malformed(1, Fault::ConnectionField)]);
    assert_eq!(wire.sent(), []);
    wire.respond(1, 400, End::No);
    assert_eq!(wire.connection.send_data(id(1), b"no", End::Yes), 2);
    let kinds: Vec<_> = wire.sent().iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [HEADERS, DATA, RST_STREAM]);
    assert!(!wire.connection.is_open(id(1)));
}

#[test]
fn a_peer_that_still_sends_a_malformed_request_is_told_to_stop_without_an_error() {
    let mut wire = Wire::server();
    let bad = [POST, &[("upgrade", "x")]].concat();
    let headers = wire.headers(END_HEADERS, 1, &bad);
    wire.sees(&headers);
    // The body of a malformed request is no event.
    assert_eq!(wire.sees(&frame(DATA, 0, 1, b"body")), []);
    wire.respond(1, 400, End::Yes);
    assert_eq!(wire.resets(), [(1, ErrorCode::NoError)]);
    assert_eq!(wire.sees(&frame(DATA, 1, 1, b"body")), []);
    // The caller may reset it instead.
    let headers = wire.headers(END_HEADERS, 3, &bad);
    wire.sees(&headers);
    wire.connection.reset(id(3), ErrorCode::ProtocolError);
    assert_eq!(wire.resets(), [(3, ErrorCode::ProtocolError)]);
}

#[test]
fn trailers_end_a_request() {
    let mut wire = Wire::server();
    wire.post(1);
    wire.sees(&frame(DATA, 0, 1, b"body"));
    let trailers = wire.headers(ENDS, 1, &[("x-sum", "1"), ("content-length", "7")]);
    assert_eq!(wire.sees(&trailers), [Seen::Trailers(1)]);
    assert_eq!(wire.connection.trailers().first(b"x-sum").unwrap(), b"1");
    assert_eq!(wire.sees(&frame(DATA, 1, 1, b"x")), [Seen::Reset(1, ErrorCode::StreamClosed)]);
}

#[test]
fn malformed_trailers_reset_a_request_that_was_delivered() {
    let cases: [(u8, List<'_>, Fault); 5] = [
        (END_HEADERS, &[("x", "y")], Fault::PseudoField),
        (ENDS, &[(":path", "/")], Fault::PseudoField),
        (ENDS, &[("X", "y")], Fault::FieldName),
        (ENDS, &[("connection", "close")], Fault::ConnectionField),
        (ENDS, &[("x", "\0")], Fault::ControlCharacter),
    ];
    for (flags, list, fault) in cases {
        let mut wire = Wire::server();
        wire.post(1);
        let trailers = wire.headers(flags, 1, list);
        assert_eq!(wire.sees(&trailers), [Seen::Malformed(1, fault)], "{list:?}");
        assert_eq!(wire.resets(), [(1, ErrorCode::ProtocolError)]);
        assert!(!wire.connection.is_open(id(1)));
        wire.get(3);
    }
}
