use super::{Ending, MessageEvent, RequestReader, fault, listed, read_requests, request, requests};
use crate::{BodyLength, Fault, Version};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A request with these lines in its head.
fn post(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\n{lines}\r\n")
}

fn chunked(chunks: &str) -> String {
    post("Transfer-Encoding: chunked\r\n") + chunks
}

#[test]
fn a_request_is_read_with_all_its_parts() {
    let read = request(
        "PATCH /a?b=c HTTP/1.1\r\nHost: a.test\r\nX-Empty:\r\nX-Bytes: \t\u{e9}\tb \t\r\n\
         transfer-ENCODING: Chunked\r\n\r\n5;a=b\r\n\n\n\n\n\n\r\n0a\r\n0123456789\r\n\
         000\r\nTrailer-A: b\r\n\r\n",
    );
    assert_eq!((&read.head.method[..], &read.head.path[..]), (&b"PATCH"[..], &b"/a?b=c"[..]));
    assert!(read.head.scheme.is_empty() && read.head.authority.is_empty());
    assert_eq!((read.head.version, read.head.body), (Version::Http11, BodyLength::Unknown));
    let fields = [("host", "a.test"), ("x-empty", ""), ("x-bytes", "\\xc3\\xa9\\tb")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(listed(&read.head.fields), fields);
    assert_eq!(read.body, b"\n\n\n\n\n0123456789");
    assert_eq!(listed(&read.trailers), [("trailer-a".to_owned(), "b".to_owned())]);
}

#[test]
fn each_request_ends_where_its_head_says() {
    let text = "\r\nGET /0 HTTP/1.0\r\n\r\nPOST /1 HTTP/1.1\r\nContent-Length:  5 \r\n\r\nGET \n\
                \r\n\r\nPUT /2 HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        .to_owned()
        + &chunked("1\r\na\r\n0\r\n\r\n")
        + GET;
    let read = read_requests(&text);
    let lengths: Vec<_> = read.iter().map(|read| (read.head.body, read.body.len())).collect();
    assert_eq!(
        lengths,
        [
            (BodyLength::Empty, 0),
            (BodyLength::Known(5), 5),
            (BodyLength::Known(0), 0),
            (BodyLength::Unknown, 1),
            (BodyLength::Empty, 0),
        ]
    );
}

#[test]
fn an_ambiguous_request_is_refused_however_it_is_split() {
    let get = |lines: &str| format!("GET / HTTP/1.1{lines}\r\n\r\n");
    let both = "Transfer-Encoding: chunked\r\n";
    for (text, expected) in [
        (get("\nHost: a"), Fault::BareLineEnd),
        (get("\r\nHost: a\nB: c"), Fault::BareLineEnd),
        (get("\r\nHost: a\r\n\n"), Fault::BareLineEnd),
        (get("\r\nHost: a\rX: b"), Fault::BareLineEnd),
        (get("\r\nHost: a\r"), Fault::BareLineEnd),
        (get("\r\nHost: a\0b"), Fault::ControlCharacter),
        (get("\r\nHo\x7fst: a"), Fault::ControlCharacter),
        (get("\r\nX: a\r\n b"), Fault::FoldedLine),
        (get("\r\n X: a"), Fault::FoldedLine),
        (get("\r\nX: a\r\n\t"), Fault::FoldedLine),
        (get("\r\nHost : a"), Fault::FieldName),
        (get("\r\nHost"), Fault::FieldName),
        (get("\r\n: a"), Fault::FieldName),
        (get("\r\nH\u{f6}st: a"), Fault::FieldName),
        (get("\r\nHo st: a"), Fault::FieldName),
        ("GET /a b HTTP/1.1\r\n\r\n".into(), Fault::StartLine),
        ("GET  / HTTP/1.1\r\n\r\n".into(), Fault::StartLine),
        ("GET / HTTP/1.1 \r\n\r\n".into(), Fault::StartLine),
        (" GET / HTTP/1.1\r\n\r\n".into(), Fault::StartLine),
        ("GET / HTTP/1.2\r\n\r\n".into(), Fault::StartLine),
        ("GET / http/1.1\r\n\r\n".into(), Fault::StartLine),
        ("PRI * HTTP/2.0\r\n\r\n".into(), Fault::StartLine),
        ("GET /\r\n\r\n".into(), Fault::StartLine),
        ("GE(T / HTTP/1.1\r\n\r\n".into(), Fault::Method),
        ("GET\t/ / HTTP/1.1\r\n\r\n".into(), Fault::Method),
        ("GET /\t HTTP/1.1\r\n\r\n".into(), Fault::Target),
        (post("Content-Length: +5\r\n"), Fault::Length),
        (post("Content-Length: 5, 5\r\n"), Fault::Length),
        (post("Content-Length:\r\n"), Fault::Length),
        (post("Content-Length: 5\r\nContent-Length: 5\r\n"), Fault::Length),
        (post("Content-Length: 99999999999999999999\r\n"), Fault::Length),
        (post("Transfer-Encoding: gzip\r\n"), Fault::Encoding),
        (post("Transfer-Encoding: chunked, identity\r\n"), Fault::Encoding),
        (post("Transfer-Encoding: \"chunked\"\r\n"), Fault::Encoding),
        (post("Transfer-Encoding:\r\n"), Fault::Encoding),
        (post(&both.repeat(2)), Fault::Encoding),
        (post(&format!("Content-Length: 5\r\n{both}")), Fault::LengthAndEncoding),
        (post(&format!("{both}Content-Length: 5\r\n")), Fault::LengthAndEncoding),
        (format!("POST / HTTP/1.0\r\n{both}\r\n"), Fault::NotInHttp10),
        ("GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n".into(), Fault::NotInHttp10),
    ] {
        for at in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            let malformed = requests([a, b]).1.map(|malformed| malformed.fault);
            assert_eq!(malformed, Some(expected), "{text:?} split at {at}");
        }
    }
}

#[test]
fn an_upgrade_may_be_asked_for_in_http11() {
    let read = request("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(read.head.fields.first(b"upgrade"), Some(&b"websocket"[..]));
}

#[test]
fn a_fault_names_the_field_that_its_line_begins_with() {
    let long = "x".repeat(64);
    for (line, field) in [
        ("Ab: \0", Some("Ab")),
        ("Ab\0: c", None),
        (": \0", None),
        (&format!("{long}: \0"), Some(&long[..])),
        (&format!("x{long}: \0"), None),
    ] {
        let malformed = requests([post(&format!("{line}\r\n")).as_bytes()]).1.unwrap();
        assert_eq!(malformed.fault, Fault::ControlCharacter, "{line}");
        assert_eq!(malformed.field.as_deref(), field.map(str::as_bytes), "{line}");
    }
}

#[test]
fn a_chunk_without_a_valid_size_or_end_is_refused() {
    let long = format!("1;{}\r\n", "x".repeat(300));
    for (chunks, expected) in [
        ("0x5\r\n", Fault::Chunk),
        ("\r\n", Fault::Chunk),
        ("5 \r\n", Fault::Chunk),
        (" 5\r\n", Fault::Chunk),
        ("5 ;a\r\n", Fault::Chunk),
        ("-1\r\n", Fault::Chunk),
        ("10000000000000000\r\n", Fault::Chunk),
        (&long[..], Fault::Chunk),
        ("1\r\nab\r\n", Fault::Chunk),
        ("1\r\na1\r\n", Fault::Chunk),
        ("5\n", Fault::BareLineEnd),
        ("5;\0\r\n", Fault::ControlCharacter),
        ("1\r\na\n", Fault::BareLineEnd),
        ("0\r\n a: b\r\n", Fault::FoldedLine),
        ("0\r\na b: c\r\n", Fault::FieldName),
        ("0\r\na: b\n", Fault::BareLineEnd),
    ] {
        assert_eq!(fault(&chunked(chunks)), Some(expected), "{chunks:?}");
    }
    let largest = chunked("ffffffffffffffff;a=\"b\"\r\n");
    assert_eq!(fault(&largest), None);
}

#[test]
fn a_malformed_field_is_named() {
    for (text, name) in [
        ("GET / HTTP/1.1\r\nX-A: a\0\r\n\r\n", Some("X-A")),
        ("GET / HTTP/1.1\r\nX-A : a\r\n\r\n", Some("X-A ")),
        ("GET / HTTP/1.1\r\nX-A: a\r\n b\r\n\r\n", Some("x-a")),
        ("GET / HTTP/1.1\r\nContent-Length: a\r\n\r\n", Some("content-length")),
        ("GET / HTTP/1.1\r\n\n\r\n", None),
        ("GET /\r\n\r\n", None),
    ] {
        let field = requests([text.as_bytes()]).1.expect("a fault").field;
        assert_eq!(field.as_deref(), name.map(str::as_bytes), "{text:?}");
    }
}

#[test]
fn a_target_has_the_form_that_its_method_has() {
    for (line, expected) in [
        ("GET /", ["", "", "/"]),
        ("GET /a%20b?c#d", ["", "", "/a%20b?c"]),
        ("GET //a/../\u{e9}\"<>\\^`{|}", ["", "", "//a/../\u{e9}\"<>\\^`{|}"]),
        ("OPTIONS *", ["", "", "*"]),
        ("OPTIONS /a", ["", "", "/a"]),
        ("GET http://a.test", ["http", "a.test", "/"]),
        ("GET HTTPS://A.test:8443/b#c", ["https", "A.test:8443", "/b"]),
        ("GET http://a.test?q", ["http", "a.test", "/?q"]),
        ("GET http://a.test#/b", ["http", "a.test", "/"]),
        ("GET http://[::1]:80/b", ["http", "[::1]:80", "/b"]),
        ("CONNECT a.test:443", ["", "a.test:443", ""]),
        ("CONNECT [::1]:443", ["", "[::1]:443", ""]),
    ] {
        let head = request(&format!("{line} HTTP/1.1\r\n\r\n")).head;
        let parts = [head.scheme, head.authority, head.path];
        assert_eq!(parts.map(|part| String::from_utf8(part).unwrap()), expected, "{line}");
    }
    for line in [
        "GET *",
        "GET a",
        "GET a.test:80",
        "GET ftp://a/",
        "GET http:/a",
        "GET http://",
        "GET http:///a",
        "GET http://?q",
        "GET http://:80/",
        "GET http://b@a/",
        "GET http://a\\b/",
        "GET http://\u{e9}/",
        "GET #a",
        "GET /#\t",
        "GET ?a",
        "OPTIONS **",
        "CONNECT /",
        "CONNECT a.test",
        "CONNECT a.test:",
        "CONNECT :443",
        "CONNECT b@a.test:443",
        "CONNECT a.test:443/",
        "CONNECT http://a.test:443",
        "CONNECT *",
    ] {
        assert_eq!(fault(&format!("{line} HTTP/1.1\r\n\r\n")), Some(Fault::Target), "{line}");
    }
}

#[test]
fn a_head_may_have_128_kib_and_a_thousand_fields_and_no_more() {
    let head = |fields: usize, length: usize| {
        format!("GET / HTTP/1.1\r\n{}\r\n", format!("X: {}\r\n", "x".repeat(length)).repeat(fields))
    };
    assert_eq!(fault(&head(1, 128 * 1024)), None);
    assert_eq!(fault(&head(1, 136 * 1024)), Some(Fault::TooLarge));
    assert_eq!(fault(&head(1000, 1)), None);
    assert_eq!(fault(&head(1001, 1)), Some(Fault::TooLarge));
    let endless = "x".repeat(137 * 1024);
    assert_eq!(fault(&endless), Some(Fault::TooLarge));
    // The bounds apply to each request. Chunks do not add up.
    read_requests(&head(1, 100 * 1024).repeat(3));
    read_requests(&(chunked(&"1\r\na\r\n".repeat(100_000)) + "0\r\n\r\n"));
    let trailers = |fields| chunked("0\r\n") + &"x: y\r\n".repeat(fields) + "\r\n";
    assert_eq!(request(&trailers(1000)).trailers.len(), 1000);
    assert_eq!(fault(&trailers(1001)), Some(Fault::TooLarge));
    let long = format!("0\r\nx: {}\r\n\r\n", "x".repeat(137 * 1024));
    assert_eq!(fault(&chunked(&long)), Some(Fault::TooLarge));
}

#[test]
fn empty_lines_before_a_request_are_ignored_up_to_4_kib() {
    let mut reader = RequestReader::new();
    for _ in 0..2048 {
        for piece in ["\r", "\n"] {
            assert_eq!(reader.next(&mut piece.as_bytes()), Ok(None));
            assert!(reader.is_between_messages());
        }
    }
    assert_eq!(reader.next(&mut &b"G"[..]), Ok(None));
    assert!(!reader.is_between_messages());
    assert_eq!(reader.next(&mut &GET.as_bytes()[1..]), Ok(Some(MessageEvent::Head)));
    read_requests(&("\r\n".repeat(2048) + GET).repeat(2));
    assert_eq!(fault(&("\r\n".repeat(2049) + GET)), Some(Fault::StartLine));
}

#[test]
fn everything_before_a_fault_is_given_first() {
    let text = chunked("3\r\nabc\r\n0\r\n\r\n") + &chunked("3\r\nabc\r\nx\r\n");
    let (read, malformed) = requests([text.as_bytes()]);
    assert_eq!(malformed, Some(Fault::Chunk.into()));
    let read: Vec<_> = read.iter().map(|read| (&read.body[..], read.end)).collect();
    assert_eq!(read, [(&b"abc"[..], Ending::Complete), (b"abc", Ending::Open)]);
}

#[test]
fn a_body_is_borrowed_from_the_input() {
    let text = format!("{}abcdef", post("Content-Length: 6\r\n"));
    let mut input = text.as_bytes();
    let mut reader = RequestReader::new();
    assert_eq!(reader.next(&mut input), Ok(Some(MessageEvent::Head)));
    let (mut first, mut second) = input.split_at(2);
    assert_eq!(reader.next(&mut first), Ok(Some(MessageEvent::Data(b"ab"))));
    assert_eq!(reader.next(&mut first), Ok(None));
    assert_eq!(reader.next(&mut second), Ok(Some(MessageEvent::Data(b"cdef"))));
    assert!(reader.is_between_messages());
    assert_eq!(reader.next(&mut second), Ok(Some(MessageEvent::End)));
}

#[test]
fn a_resting_reader_keeps_little_memory() {
    let mut reader = RequestReader::new();
    let text = format!("GET /{0} HTTP/1.1\r\nX: {0}\r\n\r\n", "x".repeat(60_000));
    for piece in text.as_bytes().chunks(1000) {
        let mut input = piece;
        while reader.next(&mut input) != Ok(None) {}
    }
    assert!(reader.request().path.capacity() <= 2048);
    assert_eq!(reader.request().fields.len(), 0);
}

#[test]
fn a_request_decides_about_its_connection_and_an_interim_response() {
    let read = |lines: &str| {
        let mut reader = RequestReader::new();
        let text = format!("POST / HTTP/{lines}\r\n\r\n");
        assert_eq!(reader.next(&mut text.as_bytes()), Ok(Some(MessageEvent::Head)));
        reader.request_mut().clear();
        (reader.wants_close(), reader.expects_continue())
    };
    for (lines, expected) in [
        ("1.1", (false, false)),
        ("1.0", (true, false)),
        ("1.0\r\nConnection: Keep-Alive", (false, false)),
        ("1.1\r\nConnection: x, CLOSE", (true, false)),
        ("1.0\r\nConnection: keep-alive\r\nConnection: close", (true, false)),
        ("1.1\r\nExpect: 100-Continue\r\nContent-Length: 1", (false, true)),
        ("1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked", (false, true)),
        ("1.1\r\nExpect: 100-continue\r\nContent-Length: 0", (false, false)),
        ("1.1\r\nExpect: 100-continue", (false, false)),
        ("1.0\r\nExpect: 100-continue\r\nContent-Length: 1", (true, false)),
        ("1.1\r\nExpect: 101\r\nContent-Length: 1", (false, false)),
    ] {
        assert_eq!(read(lines), expected, "{lines:?}");
    }
}
