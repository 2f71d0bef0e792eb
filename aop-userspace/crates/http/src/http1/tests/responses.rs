use super::{
    super::{MessageEvent, ResponseReader, Truncated},
    Ending, listed, response, responses,
};
use crate::{BodyLength, Fault, Version};

/// A response with these lines in its head, and these bytes after it.
fn ok(lines: &str, rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}")
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn interim_responses_are_messages_before_the_final_one() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\
                Content-Length: 3\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n"
        .to_owned()
        + &ok("Content-Length: 2\r\n", "ok");
    let ((read, malformed), reader) = responses(&["GET"], [text.as_bytes()]);
    assert_eq!(malformed, None);
    let facts: Vec<_> = read.iter().map(|read| (read.head.status, read.end)).collect();
    assert_eq!(facts, [(100, Ending::Complete), (103, Ending::Complete), (200, Ending::Complete)]);
    assert_eq!(listed(&read[1].head.fields), [pair("link", "a"), pair("connection", "close")]);
    assert_eq!((&read[2].body[..], reader.keeps_alive()), (&b"ok"[..], true));
}

#[test]
fn a_status_line_may_lack_its_reason_phrase() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.0 404 Not \u{e9}\tFound", 404),
        ("HTTP/1.1 999 x", 999),
    ] {
        let text = format!("\r\n{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(response("GET", &text).head.status, status, "{line}");
    }
    for line in [
        "HTTP/1.1 099 x",
        "HTTP/1.1 99",
        "HTTP/1.1 2000",
        "HTTP/1.1 20x",
        "HTTP/1.1  200",
        "HTTP/2 200",
        "HTTP/1.2 200 x",
        "http/1.1 200 x",
        "ICY 200 OK",
        "HTTP/1.1200",
        "x",
        "<html>",
    ] {
        let ((_, malformed), _) = responses(&["GET"], [format!("{line}\r\n\r\n").as_bytes()]);
        assert_eq!(malformed, Some(Fault::StartLine.into()), "{line}");
    }
}

#[test]
fn lenient_forms_become_valid() {
    let read = response(
        "GET",
        &ok("X: a\r\n  b \r\n\t\r\n\tc\r\nY:\r\n d\r\nContent-Length: 2\r\n , 02\r\n", "ok"),
    );
    let fields = [pair("x", "a b c"), pair("y", "d"), pair("content-length", "2")];
    assert_eq!(listed(&read.head.fields), fields);
    assert_eq!((read.head.body, &read.body[..]), (BodyLength::Known(2), &b"ok"[..]));
    for lengths in ["Content-Length: 2, 2\r\n", "Content-Length: 2\r\nContent-Length: 2\r\n"] {
        let read = response("GET", &ok(lengths, "ok"));
        assert_eq!(listed(&read.head.fields), [pair("content-length", "2")]);
        assert_eq!(read.body, b"ok");
    }
    let chunks = "2 \r\nok\r\n1\t;a\r\n!\r\n0\r\nX: y\r\n z\r\n\r\n";
    for lines in [
        "Transfer-Encoding: Chunked\r\n",
        "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: , chunked\r\nContent-Length: x\r\n",
    ] {
        let read = response("GET", &ok(lines, chunks));
        assert_eq!((read.head.fields.len(), read.head.body), (0, BodyLength::Unknown), "{lines}");
        assert_eq!((&read.body[..], read.end), (&b"ok!"[..], Ending::Complete));
        assert_eq!(listed(&read.trailers), [pair("x", "y z")]);
    }
}

#[test]
fn an_uncertain_response_is_refused_and_its_field_named() {
    let length = Fault::Length.of(b"content-length");
    let encoding = Fault::Encoding.of(b"transfer-encoding");
    for (text, expected) in [
        (ok("Content-Length: 1\r\nContent-Length: 2\r\n", ""), length.clone()),
        (ok("Content-Length: 1, 2\r\n", ""), length.clone()),
        (ok("Content-Length: 1,\r\n", ""), length.clone()),
        (ok("Content-Length: 5\r\n 6\r\n", ""), length.clone()),
        (ok("Content-Length:\r\n", ""), length),
        (ok("Transfer-Encoding: gzip, chunked\r\n", ""), encoding.clone()),
        (ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""), encoding.clone()),
        (ok("Transfer-Encoding: chunked\r\n , gzip\r\n", ""), encoding.clone()),
        (ok("Transfer-Encoding:\r\n", ""), encoding),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            Fault::NotInHttp10.of(b"transfer-encoding"),
        ),
        (ok("X-A: b\rc\n", ""), Fault::BareLineEnd.of(b"X-A")),
        (ok("X-A: b\0\r\n", ""), Fault::ControlCharacter.of(b"X-A")),
        (ok("X A: b\r\n", ""), Fault::FieldName.of(b"X A")),
        (ok("X-A : b\r\n", ""), Fault::FieldName.of(b"X-A ")),
        (ok(" X: a\r\n", ""), Fault::FoldedLine.into()),
        (ok("Transfer-Encoding: chunked\r\n", "x\r\n"), Fault::Chunk.into()),
        (ok("Transfer-Encoding: chunked\r\n", "1 0\r\n"), Fault::Chunk.into()),
    ] {
        let ((_, malformed), _) = responses(&["GET"], [text.as_bytes()]);
        assert_eq!(malformed, Some(expected), "{text:?}");
    }
}

#[test]
fn some_responses_have_no_body_whatever_their_fields_say() {
    for (method, status, kept) in [
        ("HEAD", 200, true),
        ("GET", 304, true),
        ("GET", 204, false),
        ("HEAD", 204, false),
        ("POST", 102, false),
    ] {
        for lines in ["Content-Length: 5\r\n", "", "Content-Length: 5, 5\r\n"] {
            let text = format!("HTTP/1.1 {status} x\r\n{lines}\r\n");
            let read = response(method, &text);
            assert_eq!((read.head.body, read.end), (BodyLength::Empty, Ending::Complete));
            let fields = [pair("content-length", "5")];
            let fields = if kept && !lines.is_empty() { &fields[..] } else { &[] };
            assert_eq!(listed(&read.head.fields), fields, "{method} {status} {lines}");
        }
        let lines = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        let read = response(method, &format!("HTTP/1.1 {status} x\r\n{lines}\r\n"));
        assert_eq!((read.head.fields.len(), read.end), (0, Ending::Complete));
    }
    let read = response("GET", "HTTP/1.1 204 x\r\nContent-Length: x\r\n\r\n");
    assert_eq!(read.end, Ending::Complete);
}

#[test]
fn what_follows_the_start_of_a_tunnel_stays_in_the_input() {
    for (method, head) in [
        ("GET", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\n"),
        ("CONNECT", "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ] {
        let text = format!("{head}HTTP");
        let mut input = text.as_bytes();
        let mut reader = ResponseReader::new();
        reader.expect(method.as_bytes());
        assert_eq!(reader.next(&mut input), Ok(Some(MessageEvent::Head)));
        assert_eq!(reader.response().body, BodyLength::Empty);
        assert!(!reader.response().fields.contains(b"content-length"));
        assert_eq!(reader.next(&mut input), Ok(Some(MessageEvent::End)));
        assert_eq!(reader.next(&mut input), Ok(None));
        assert_eq!(input, b"HTTP");
        assert!(!reader.keeps_alive() && !reader.is_between_messages());
        assert_eq!(reader.end_of_input(), Ok(None));
    }
    let refused = response("CONNECT", "HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!((&refused.body[..], refused.end), (&b"no"[..], Ending::Complete));
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let ((read, _), mut reader) = responses(&["GET"], [ok("", "abc").as_bytes(), b"def"]);
    assert_eq!((read[0].head.body, &read[0].body[..]), (BodyLength::Unknown, &b"abcdef"[..]));
    assert_eq!((read[0].end, reader.keeps_alive()), (Ending::Open, false));
    assert_eq!(reader.end_of_input(), Ok(Some(MessageEvent::End)));
    assert_eq!(reader.end_of_input(), Ok(None));
}

#[test]
fn every_other_response_is_truncated_by_the_end_of_the_connection() {
    let whole = ok("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
    for text in [&whole[..], &ok("Content-Length: 3\r\n", "abc")] {
        for length in 1..text.len() {
            let (_, mut reader) = responses(&["GET"], [&text.as_bytes()[..length]]);
            assert_eq!(reader.end_of_input(), Err(Truncated), "{:?}", &text[..length]);
            assert!(!reader.keeps_alive());
        }
        let (_, mut reader) = responses(&["GET"], [text.as_bytes()]);
        assert_eq!(reader.end_of_input(), Ok(None));
    }
    // All of the response was received, though its end was not asked for.
    let mut reader = ResponseReader::new();
    let mut input = &b"HTTP/1.1 204 x\r\n\r\n"[..];
    assert_eq!(reader.next(&mut input), Ok(Some(MessageEvent::Head)));
    assert_eq!(reader.end_of_input(), Ok(Some(MessageEvent::End)));
}

#[test]
fn a_connection_may_be_used_again_before_the_end_is_asked_for() {
    let mut reader = ResponseReader::new();
    for (method, text) in [
        ("HEAD", ok("Content-Length: 3\r\n", "")),
        ("GET", "HTTP/1.1 304 x\r\n\r\n".into()),
        ("GET", ok("Content-Length: 0\r\n", "")),
    ] {
        reader.expect(method.as_bytes());
        assert_eq!(reader.next(&mut text.as_bytes()), Ok(Some(MessageEvent::Head)));
        assert!(reader.is_between_messages() && reader.keeps_alive());
    }
}

#[test]
fn a_response_decides_about_its_connection() {
    let empty = "Content-Length: 0\r\n";
    for (version, lines, expected) in [
        ("1.1", "", (true, None)),
        ("1.1", "Connection: close\r\n", (false, None)),
        ("1.1", "Connection: Keep-Alive\r\nKeep-Alive: timeout=5, max=9\r\n", (true, Some(5))),
        ("1.0", "", (false, None)),
        ("1.0", "Connection: keep-alive\r\nKeep-Alive: max=9\r\n", (true, None)),
        ("1.0", "Connection: keep-alive, close\r\n", (false, None)),
    ] {
        let text = format!("HTTP/{version} 200 x\r\n{empty}{lines}\r\n");
        let ((read, _), reader) = responses(&["GET"], [text.as_bytes()]);
        let old = read[0].head.version == Version::Http10;
        assert_eq!(old, version == "1.0");
        assert_eq!((reader.keeps_alive(), reader.keep_alive_timeout()), expected, "{text:?}");
    }
    // RFC 9112, 6.1: the framing of such a response is suspect.
    let text = b"HTTP/1.0 304 x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";
    assert!(!responses(&["GET"], [&text[..]]).1.keeps_alive());
}

#[test]
fn a_thousand_fields_fit() {
    let fields = |count| ok(&"Set-Cookie: a=b\r\n".repeat(count), "");
    assert_eq!(response("GET", &fields(1000)).head.fields.len(), 1000);
    let ((_, malformed), _) = responses(&["GET"], [fields(1001).as_bytes()]);
    assert_eq!(malformed, Some(Fault::TooLarge.into()));
}

#[test]
fn lines_of_a_head_may_end_in_lf_alone() {
    let message = response("GET", "HTTP/1.1 200 OK\nContent-Length: 2\nX-A: b\n\nok");
    assert_eq!(message.head.fields.first(b"x-a"), Some(&b"b"[..]));
    assert_eq!(message.body, b"ok");
}

#[test]
fn a_connection_at_rest_keeps_no_head() {
    let mut reader = ResponseReader::new();
    let mut input = &b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"[..];
    assert_eq!(reader.next(&mut input), Ok(Some(MessageEvent::Head)));
    assert_eq!((reader.response().status, reader.response().fields.len()), (204, 1));
    assert_eq!(reader.next(&mut input), Ok(Some(MessageEvent::End)));
    assert_eq!(reader.response().status, 204);
    assert_eq!(reader.next(&mut input), Ok(None));
    assert_eq!((reader.response().status, reader.response().fields.len()), (0, 0));
}
