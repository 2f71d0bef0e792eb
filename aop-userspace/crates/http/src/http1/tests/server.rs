//! The server's side of a connection: the course of its exchanges, and the framing of responses.

use super::super::{Incomplete, MessageEvent, Server};
use crate::{BodyLength, Fields, ResponseHead};

const GET: &str = "GET / HTTP/1.1\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\n\r\n";
const OLD_KEEP_ALIVE: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";

/// Gives all of `input` to the server: the number of events, and the bytes that stay unread.
fn feed(server: &mut Server, input: &str) -> (usize, usize) {
    let mut rest = input.as_bytes();
    let mut events = 0;
    while server.receive(&mut rest).unwrap().is_some() {
        events += 1;
    }
    (events, rest.len())
}

/// A server that has received this request.
fn after(request: &str) -> Server {
    let mut server = Server::default();
    assert_eq!(feed(&mut server, request).1, 0);
    server
}

fn head(status: u16, body: BodyLength, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead { status, body, ..ResponseHead::default() };
    for (name, value) in fields {
        head.fields.push(name.as_bytes(), value.as_bytes());
    }
    head
}

fn output(server: &mut Server) -> String {
    String::from_utf8(std::mem::take(server.output())).unwrap()
}

/// The state that the server reports: busy, idle, receiving, waiting, responding, draining.
fn state(server: &Server) -> [bool; 6] {
    [
        server.is_busy(),
        server.is_idle(),
        server.is_receiving(),
        server.is_waiting_for_response(),
        server.is_responding(),
        server.is_draining(),
    ]
}

const IDLE: [bool; 6] = [false, true, false, false, false, false];

#[test]
fn an_exchange_goes_from_the_request_to_the_end_of_its_response() {
    let mut server = Server::default();
    assert_eq!((state(&server), server.requests()), (IDLE, 0));
    let mut input = POST.as_bytes();
    assert_eq!(server.receive(&mut input), Ok(Some(MessageEvent::Head)));
    assert_eq!(state(&server), [true, false, true, false, false, false]);
    assert_eq!(server.requests(), 1);
    assert_eq!(server.request_mut().method, b"POST");
    assert_eq!(feed(&mut server, "abc"), (2, 0));
    assert_eq!(state(&server), [true, false, false, true, false, false]);
    server.respond(&head(204, BodyLength::Empty, &[]), b"POST");
    assert_eq!(state(&server), [true, false, false, true, true, false]);
    assert_eq!(server.end_response(None), Ok(()));
    assert_eq!((state(&server), server.is_closing()), (IDLE, false));
    assert_eq!(feed(&mut server, "GE"), (0, 0));
    assert_eq!(state(&server), [false; 6]);
    assert_eq!(feed(&mut server, "T / HTTP/1.1\r\n\r\n"), (2, 0));
    assert_eq!(server.requests(), 2);
}

#[test]
fn the_body_of_a_request_is_read_behind_its_response() {
    let mut server = after(POST);
    server.respond(&head(413, BodyLength::Empty, &[]), b"POST");
    assert_eq!(state(&server), [true, false, true, false, true, false]);
    server.end_response(None).unwrap();
    assert_eq!(state(&server), [true, false, true, false, false, true]);
    assert_eq!(feed(&mut server, &format!("abc{GET}")), (4, 0));
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_request_behind_an_open_response_stays_unread() {
    let mut server = Server::default();
    let both = [GET, POST].concat();
    assert_eq!(feed(&mut server, &both), (2, POST.len()));
    server.respond(&head(200, BodyLength::Unknown, &[]), b"GET");
    assert_eq!(feed(&mut server, POST), (0, POST.len()));
    server.end_response(None).unwrap();
    assert_eq!(feed(&mut server, POST), (1, 0));
}

#[test]
fn a_connection_closes_after_its_last_response_and_reads_no_more() {
    let mut server = Server::default();
    server.close_after_response();
    assert!(server.is_closing());
    let mut server = after(GET);
    server.close_after_response();
    assert!(!server.is_closing());
    for (mut server, by_request) in [(server, false), (after(LAST), true)] {
        server.respond(&head(200, BodyLength::Known(0), &[("content-length", "0")]), b"GET");
        assert!(!server.is_closing(), "by the request: {by_request}");
        assert!(output(&mut server).ends_with("\r\nconnection: close\r\n\r\n"));
        server.end_response(None).unwrap();
        assert!(server.is_closing());
        assert_eq!(feed(&mut server, GET), (0, GET.len()));
    }
}

#[test]
fn the_body_of_the_last_request_is_read_behind_its_response() {
    let mut server = after(POST);
    server.close_after_response();
    server.respond(&head(200, BodyLength::Empty, &[]), b"POST");
    server.end_response(None).unwrap();
    assert!(server.is_closing());
    assert_eq!(feed(&mut server, &format!("abc{GET}")), (2, GET.len()));
}

#[test]
fn the_framing_of_a_response_follows_its_body_and_the_request() {
    use BodyLength::{Empty, Known, Unknown};
    let length = &[("content-length", "2")][..];
    let cases = [
        (GET, "GET", head(200, Known(2), length), "content-length: 2\r\n", "ab", false),
        (
            GET,
            "GET",
            head(200, Unknown, &[]),
            "transfer-encoding: chunked\r\n",
            "2\r\nab\r\n0\r\n\r\n",
            false,
        ),
        (GET, "GET", head(200, Empty, &[]), "content-length: 0\r\n", "", false),
        (GET, "GET", head(404, Empty, length), "content-length: 2\r\n", "", false),
        (GET, "GET", head(204, Empty, &[]), "", "", false),
        (GET, "GET", head(304, Empty, &[]), "", "", false),
        (GET, "GET", head(101, Unknown, &[("upgrade", "x")]), "upgrade: x\r\n", "", false),
        (LAST, "GET", head(101, Empty, &[("upgrade", "x")]), "upgrade: x\r\n", "", true),
        (HEAD, "HEAD", head(200, Empty, &[]), "", "", false),
        (HEAD, "HEAD", head(200, Known(2), length), "content-length: 2\r\n", "", false),
        (HEAD, "HEAD", head(200, Unknown, &[]), "", "", false),
        (OLD, "GET", head(200, Unknown, &[]), "connection: close\r\n", "ab", true),
        (
            OLD,
            "GET",
            head(200, Known(2), length),
            "content-length: 2\r\nconnection: close\r\n",
            "ab",
            true,
        ),
        (
            OLD_KEEP_ALIVE,
            "GET",
            head(200, Known(2), length),
            "content-length: 2\r\nconnection: keep-alive\r\n",
            "ab",
            false,
        ),
        (OLD_KEEP_ALIVE, "GET", head(200, Unknown, &[]), "connection: close\r\n", "ab", true),
    ];
    for (request, method, response, fields, body, closes) in cases {
        let mut server = after(request);
        server.respond(&response, method.as_bytes());
        let written = output(&mut server);
        let (line, rest) = written.split_once("\r\n").unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {} ", response.status)), "{written}");
        assert_eq!(rest, format!("{fields}\r\n"), "{response:?} to {request}");
        assert_eq!(server.send_data(b"ab"), 2);
        server.end_response(None).unwrap();
        assert_eq!(output(&mut server), body, "{response:?} to {request}");
        assert_eq!(server.is_closing(), closes, "{response:?} to {request}");
    }
}

#[test]
fn no_more_is_taken_than_the_announced_length_and_no_less_is_complete() {
    let mut server = after(GET);
    server.respond(&head(200, BodyLength::Known(5), &[("content-length", "5")]), b"GET");
    output(&mut server);
    assert_eq!(server.send_data(b"abc"), 3);
    assert_eq!(server.end_response(None), Err(Incomplete));
    assert!(server.is_responding());
    assert_eq!(server.send_data(b"defg"), 2);
    assert_eq!(server.send_data(b"h"), 0);
    assert_eq!(server.end_response(None), Ok(()));
    assert_eq!(output(&mut server), "abcde");
    assert!(!server.is_responding());
}

#[test]
fn a_caller_may_write_a_body_itself_where_no_framing_is_around_its_parts() {
    let mut server = after(GET);
    server.respond(&head(200, BodyLength::Known(5), &[("content-length", "5")]), b"GET");
    output(&mut server);
    assert_eq!((server.unframed(3), server.unframed(9)), (3, 5));
    server.count_unframed(4);
    assert_eq!(server.unframed(9), 1);
    assert_eq!(server.end_response(None), Err(Incomplete));
    assert_eq!(server.send_data(b"ef"), 1);
    assert_eq!(server.end_response(None), Ok(()));
    assert_eq!(output(&mut server), "e");

    let unknown = head(200, BodyLength::Unknown, &[]);
    server = after(GET);
    server.respond(&unknown, b"GET");
    assert_eq!(server.unframed(9), 0, "a chunk has a size before it");
    server = after("GET / HTTP/1.0\r\n\r\n");
    server.respond(&unknown, b"GET");
    assert_eq!(server.unframed(9), 9, "the end of the connection ends this body");
    server = after("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    server.respond(&unknown, b"HEAD");
    assert_eq!(server.unframed(9), 0, "there is no body");
}

#[test]
fn interim_responses_go_to_new_clients_alone() {
    let interim = head(103, BodyLength::Empty, &[("link", "x")]);
    let mut server = after(GET);
    server.respond_interim(&interim);
    assert_eq!(output(&mut server), "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
    assert_eq!(state(&server), [true, false, false, true, false, false]);
    let mut server = after(OLD);
    server.respond_interim(&interim);
    assert_eq!(output(&mut server), "");
}

#[test]
fn trailers_arrive_and_leave_with_chunks() {
    let request = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n";
    let mut server = after(request);
    assert_eq!(server.trailers().first(b"a"), Some(&b"b"[..]));
    server.respond(&head(200, BodyLength::Unknown, &[]), b"POST");
    output(&mut server);
    let mut trailers = Fields::default();
    trailers.push(b"x-sum", b"1");
    server.end_response(Some(&trailers)).unwrap();
    assert_eq!(output(&mut server), "0\r\nx-sum: 1\r\n\r\n");
}

#[test]
fn memory_is_given_back_at_rest() {
    let mut server = after(&GET.replace("GET", &"G".repeat(1_000)));
    assert!(server.request_mut().method.capacity() >= 1_000);
    server.request_mut().clear();
    server.output().reserve(100_000);
    server.shrink();
    assert!(server.output().capacity() < 100 && server.request_mut().method.capacity() < 100);
}
