//! The responses of a connection, as the engine reads them, beside httparse and written rules.

use aop_http::{
    BodyLength, Fault, Malformed, ResponseHead, Version,
    http1::{MessageEvent, ResponseReader},
};

use super::{
    chunks,
    heads::{Accepted, Kind, List, Other, closed, decimal, faults_of_lines, listed, read},
    split,
};

/// A response as the engine gives it. The places are numbers of bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Response {
    /// The method of the request that it answers.
    method: &'static str,
    head: ResponseHead,
    head_end: usize,
    body: Vec<u8>,
    trailers: List,
    end: Option<usize>,
    keeps_alive: bool,
}

/// All that the engine gives for some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    responses: Vec<Response>,
    fault: Option<Malformed>,
    /// Whether the end of the connection is the end of the last response. `None`: it is truncated.
    completes: Option<bool>,
}

/// The methods of the requests, by a number that the first byte of an input gives.
const METHODS: [&str; 4] = ["GET", "HEAD", "CONNECT", "POST"];

/// Compares the responses in the bytes behind the first one, and any division of them. The first
/// byte chooses the methods of the requests.
pub fn check(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    let given = responses(*choice, [bytes]);
    for pieces in split::divisions(bytes) {
        assert_eq!(responses(*choice, pieces), given, "the division changes something");
    }
    let mut at = 0;
    for response in &given.responses {
        let Other::Accepted(head) = read(Kind::Response, &bytes[at..]) else {
            panic!("httparse refuses a head that the engine accepts, at {at}");
        };
        let faults = faults(&bytes[at..at + head.length], &head, response.method);
        assert_eq!(faults, [], "the engine accepts a head with these");
        compare(response, &head);
        at += head.length;
        assert_eq!(response.head_end, at);
        match compare_body(response, &head, &bytes[at..]) {
            Body::Complete(length) => at += length,
            Body::Tunnel => {
                return assert_eq!((response.end, given.fault), (Some(at), None));
            }
            Body::UntilClose => {
                assert_eq!((response.end, given.fault, given.completes), (None, None, Some(true)));
                return assert_eq!(response.body, bytes[at..]);
            }
            Body::Open => {
                return assert_eq!(
                    (response.end, given.fault, given.completes),
                    (None, None, None)
                );
            }
            Body::Malformed => return assert!(response.end.is_none() && given.fault.is_some()),
        }
        assert_eq!(response.end, Some(at));
    }
    let method = method(*choice, given.responses.iter().filter(|it| !it.head.is_interim()).count());
    match &given.fault {
        Some(malformed) => compare_refusal(malformed.fault, &bytes[at..], method),
        None => compare_rest(*choice, given.completes, &bytes[at..]),
    }
}

/// The method of the request with this number.
fn method(choice: u8, number: usize) -> &'static str {
    METHODS[usize::from(choice >> (number % 4 * 2)) % METHODS.len()]
}

fn responses<'a>(choice: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> Given {
    let (mut reader, mut responses, mut at) = (ResponseReader::new(), Vec::<Response>::new(), 0);
    let mut answered = 0;
    reader.expect(method(choice, answered).as_bytes());
    for piece in pieces {
        let mut input = piece;
        loop {
            let event = match reader.next(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(fault) => return Given { responses, fault: Some(fault), completes: None },
            };
            let place = at + piece.len() - input.len();
            match (event, responses.last_mut()) {
                (MessageEvent::Head, last) => {
                    assert!(last.is_none_or(|last| last.end.is_some()), "an end is missing");
                    responses.push(Response {
                        method: method(choice, answered),
                        head: reader.response().clone(),
                        head_end: place,
                        body: Vec::new(),
                        trailers: List::new(),
                        end: None,
                        keeps_alive: reader.keeps_alive(),
                    });
                }
                (MessageEvent::Data(data), Some(last)) if last.end.is_none() => {
                    last.body.extend_from_slice(data);
                }
                (MessageEvent::End, Some(last)) if last.end.is_none() => {
                    last.end = Some(place);
                    last.trailers = listed(reader.trailers());
                    if !last.head.is_interim() {
                        answered += 1;
                        reader.expect(method(choice, answered).as_bytes());
                    }
                }
                (event, _) => panic!("{event:?} outside a response"),
            }
        }
        at += piece.len();
    }
    let completes = reader.end_of_input().ok().map(|event| event.is_some());
    Given { responses, fault: None, completes }
}

/// The rule for the end of a body (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Tunnel,
    Chunked,
    Length,
    UntilClose,
}

fn framing(head: &Accepted, method: &str) -> Framing {
    match head.status {
        101 => Framing::Tunnel,
        200..=299 if method == "CONNECT" => Framing::Tunnel,
        100..=199 | 204 | 304 => Framing::None,
        _ if method == "HEAD" => Framing::None,
        _ if head.first(b"transfer-encoding").is_some() => Framing::Chunked,
        _ if head.first(b"content-length").is_some() => Framing::Length,
        _ => Framing::UntilClose,
    }
}

/// Compares a head that both accept.
fn compare(response: &Response, other: &Accepted) {
    let head = &response.head;
    assert_eq!(head.status, other.status);
    assert_eq!(head.version == Version::Http11, other.version == 1);
    let framing = framing(other, response.method);
    let encoded = other.first(b"transfer-encoding").is_some();
    // RFC 9110, 8.6, and RFC 9112, 6.3: where a Content-Length has no meaning.
    let without_length =
        encoded || framing == Framing::Tunnel || matches!(other.status, 100..=199 | 204);
    let is_framing = |name: &[u8]| matches!(name, b"transfer-encoding" | b"content-length");
    let fields = other.fields.iter().filter(|(name, _)| !is_framing(name));
    let own = listed(&head.fields);
    assert!(fields.eq(own.iter().filter(|(name, _)| !is_framing(name))), "{own:?} {other:?}");
    let lengths: Vec<_> = head.fields.all(b"content-length").map(decimal).collect();
    let length = length(other).flatten().filter(|_| !without_length);
    assert_eq!(lengths, Vec::from_iter(length.map(Some)));
    assert!(!head.fields.contains(b"transfer-encoding"));
    let body = match framing {
        Framing::None | Framing::Tunnel => BodyLength::Empty,
        Framing::Chunked | Framing::UntilClose => BodyLength::Unknown,
        Framing::Length => BodyLength::Known(length.unwrap()),
    };
    assert_eq!(head.body, body);
    if !head.is_interim() {
        let options: Vec<_> = other.all(b"connection").join(&b','.to_owned());
        let options: Vec<_> = options.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
        let has = |name: &str| options.iter().any(|it| it.eq_ignore_ascii_case(name.as_bytes()));
        let asked = !has("close") && (other.version == 1 || has("keep-alive"));
        let sure = !matches!(framing, Framing::UntilClose | Framing::Tunnel)
            && (other.version == 1 || !encoded);
        assert_eq!(response.keeps_alive, asked && sure);
    }
}

/// The one value of all Content-Length fields. `None`: they differ, or one is no number.
fn length(head: &Accepted) -> Option<Option<u64>> {
    let values = head.all(b"content-length").join(&b','.to_owned());
    if head.first(b"content-length").is_none() {
        return Some(None);
    }
    let numbers = values.split(|byte| *byte == b',').map(|value| decimal(value.trim_ascii()));
    let numbers: Option<Vec<_>> = numbers.collect();
    let numbers = numbers?;
    numbers.iter().all(|number| *number == numbers[0]).then(|| numbers.first().copied())
}

/// A body as the rules read it.
enum Body {
    /// It has as many bytes, with its framing.
    Complete(usize),
    Tunnel,
    UntilClose,
    Open,
    Malformed,
}

fn compare_body(response: &Response, head: &Accepted, bytes: &[u8]) -> Body {
    match framing(head, response.method) {
        Framing::None => Body::Complete(0),
        Framing::Tunnel => Body::Tunnel,
        Framing::UntilClose => Body::UntilClose,
        Framing::Length => {
            let length = length(head).unwrap().unwrap();
            let here = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
            assert_eq!(response.body, bytes[..here]);
            if here as u64 == length { Body::Complete(here) } else { Body::Open }
        }
        Framing::Chunked => {
            let other = chunks::decode(Kind::Response, bytes);
            assert_eq!(response.body, other.body);
            match other.end {
                chunks::End::Complete(trailers, length) => {
                    assert_eq!(response.trailers, trailers);
                    Body::Complete(length)
                }
                chunks::End::Incomplete => Body::Open,
                chunks::End::Malformed => Body::Malformed,
            }
        }
    }
}

/// The engine refuses the head at the front of `bytes`: httparse refuses it too, or a rule does.
fn compare_refusal(fault: Fault, bytes: &[u8], method: &str) {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let closed = ends.map(|(end, _)| closed(Kind::Response, &bytes[..=end]));
    let allowed = |head: &[u8]| match read(Kind::Response, head) {
        Other::Accepted(other) => faults(&head[..other.length], &other, method).contains(&fault),
        Other::Refused => true,
        Other::Partial => false,
    };
    let found = match read(Kind::Response, bytes) {
        Other::Accepted(_) | Other::Refused => allowed(bytes),
        Other::Partial => closed.into_iter().any(|head| allowed(&head)),
    };
    assert!(found, "{fault:?} has no reason");
}

/// The engine waits for more of a head: httparse does too, or refuses what is there.
fn compare_rest(choice: u8, completes: Option<bool>, bytes: &[u8]) {
    match read(Kind::Response, bytes) {
        Other::Accepted(head) => panic!("the engine does not see the end of {head:?}"),
        Other::Partial => {
            // Empty lines, and a CR that may begin one, are no part of a response.
            let blank = bytes.iter().all(|byte| b"\r\n".contains(byte));
            assert_eq!(completes, blank.then_some(false));
        }
        Other::Refused => {
            let closed = [bytes, b"\r\n\r\n"].concat();
            let fault = responses(choice, [&closed[..]]).fault;
            assert!(fault.is_some(), "httparse alone refuses the head");
        }
    }
}

/// The rules that a head breaks, although httparse accepts it.
fn faults(text: &[u8], head: &Accepted, method: &str) -> Vec<Fault> {
    let mut faults = faults_of_lines(Kind::Response, text, head.fields.len());
    let mut note = |wrong: bool, fault| faults.extend(wrong.then_some(fault));
    note(head.status < 100, Fault::StartLine);
    let framing = framing(head, method);
    let encodings = head.all(b"transfer-encoding").join(&b','.to_owned());
    let mut encodings = encodings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let encodings: Vec<_> = encodings.by_ref().filter(|name| !name.is_empty()).collect();
    let chunked = encodings.len() == 1 && encodings[0].eq_ignore_ascii_case(b"chunked");
    note(framing == Framing::Chunked && !chunked, Fault::Encoding);
    note(framing == Framing::Chunked && head.version == 0, Fault::NotInHttp10);
    let needs_length = !matches!(framing, Framing::Chunked | Framing::Tunnel)
        && head.first(b"transfer-encoding").is_none()
        && !matches!(head.status, 100..=199 | 204);
    note(needs_length && length(head).is_none(), Fault::Length);
    faults
}
