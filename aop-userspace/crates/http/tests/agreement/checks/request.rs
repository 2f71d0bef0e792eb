//! The requests of a connection, as the engine reads them, beside httparse and written rules.

use aop_http::{
    BodyLength, Fault, Malformed, RequestHead, Version,
    http1::{MessageEvent, RequestReader},
};

use super::{
    chunks,
    heads::{Accepted, Kind, List, Other, closed, decimal, faults_of_lines, listed, read},
    split,
};

/// A request as the engine gives it. The places are numbers of bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    head: RequestHead,
    head_end: usize,
    body: Vec<u8>,
    trailers: List,
    end: Option<usize>,
}

/// All that the engine gives for some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    requests: Vec<Request>,
    fault: Option<Malformed>,
}

/// Compares the requests in `bytes`, and any division of them.
pub fn check(bytes: &[u8]) {
    let given = requests([bytes]);
    for pieces in split::divisions(bytes) {
        assert_eq!(requests(pieces), given, "the division changes something");
    }
    let mut at = 0;
    for request in &given.requests {
        let Other::Accepted(head) = read(Kind::Request, &bytes[at..]) else {
            panic!("httparse refuses a head that the engine accepts, at {at}");
        };
        let faults = faults(&bytes[at..at + head.length], &head);
        assert_eq!(faults, [], "the engine accepts a head with these");
        compare(&request.head, &head);
        at += head.length;
        assert_eq!(request.head_end, at);
        match compare_body(request, &bytes[at..]) {
            Body::Complete(length) => at += length,
            Body::Open => return assert_eq!((request.end, given.fault), (None, None)),
            Body::Malformed => return assert!(request.end.is_none() && given.fault.is_some()),
        }
        assert_eq!(request.end, Some(at));
    }
    match &given.fault {
        Some(malformed) => compare_refusal(malformed.fault, &bytes[at..]),
        None => compare_rest(&bytes[at..]),
    }
}

fn requests<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Given {
    let (mut reader, mut requests, mut at) = (RequestReader::new(), Vec::<Request>::new(), 0);
    for piece in pieces {
        let mut input = piece;
        loop {
            let event = match reader.next(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(fault) => return Given { requests, fault: Some(fault) },
            };
            let place = at + piece.len() - input.len();
            match (event, requests.last_mut()) {
                (MessageEvent::Head, last) => {
                    assert!(last.is_none_or(|last| last.end.is_some()), "an end is missing");
                    let head = reader.request().clone();
                    let (body, trailers) = (Vec::new(), List::new());
                    requests.push(Request { head, head_end: place, body, trailers, end: None });
                }
                (MessageEvent::Data(data), Some(last)) if last.end.is_none() => {
                    last.body.extend_from_slice(data);
                }
                (MessageEvent::End, Some(last)) if last.end.is_none() => {
                    last.end = Some(place);
                    last.trailers = listed(reader.trailers());
                }
                (event, _) => panic!("{event:?} outside a request"),
            }
        }
        assert!(input.is_empty(), "without an event, all input is consumed");
        at += piece.len();
    }
    Given { requests, fault: None }
}

/// Compares a head that both accept.
fn compare(head: &RequestHead, other: &Accepted) {
    assert_eq!(head.method, other.method);
    assert_eq!(head.version == Version::Http11, other.version == 1);
    let target = match (head.scheme.is_empty(), head.path.is_empty()) {
        (true, true) => head.authority.clone(),
        (true, false) => head.path.clone(),
        (false, _) => [&head.scheme[..], b"://", &head.authority, &head.path].concat(),
    };
    assert_eq!(target, effective(&other.target), "{}", other.target.escape_ascii());
    let fields = other.fields.iter().filter(|(name, _)| name != b"transfer-encoding");
    assert!(fields.eq(&listed(&head.fields)), "{:?} {:?}", head.fields, other.fields);
    let length = other.first(b"content-length").map(|value| decimal(value).unwrap());
    let body = match (other.first(b"transfer-encoding"), length) {
        (Some(_), _) => BodyLength::Unknown,
        (None, Some(length)) => BodyLength::Known(length),
        (None, None) => BodyLength::Empty,
    };
    assert_eq!(head.body, body);
}

/// A target without its fragment, with its scheme in lower case and with a path.
fn effective(target: &[u8]) -> Vec<u8> {
    let target = target.split(|byte| *byte == b'#').next().unwrap();
    let Some((scheme, rest)) = absolute(target) else { return target.to_vec() };
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    [scheme, b"://", authority, slash, path].concat()
}

/// The scheme of a target in absolute form, and the rest.
fn absolute(target: &[u8]) -> Option<(&'static [u8], &[u8])> {
    let lower = target.to_ascii_lowercase();
    let schemes = [(&b"http"[..], &b"http://"[..]), (b"https", b"https://")];
    let (scheme, start) = schemes.into_iter().find(|(_, start)| lower.starts_with(start))?;
    Some((scheme, &target[start.len()..]))
}

/// A body as the rules read it.
enum Body {
    /// It has as many bytes, with its framing.
    Complete(usize),
    Open,
    Malformed,
}

/// Compares the body behind a head.
fn compare_body(request: &Request, bytes: &[u8]) -> Body {
    match request.head.body {
        BodyLength::Empty => Body::Complete(0),
        BodyLength::Known(length) => {
            let here = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
            assert_eq!(request.body, bytes[..here]);
            if here as u64 == length { Body::Complete(here) } else { Body::Open }
        }
        BodyLength::Unknown => {
            let other = chunks::decode(Kind::Request, bytes);
            assert_eq!(request.body, other.body);
            match other.end {
                chunks::End::Complete(trailers, length) => {
                    assert_eq!(request.trailers, trailers);
                    Body::Complete(length)
                }
                chunks::End::Incomplete => Body::Open,
                chunks::End::Malformed => Body::Malformed,
            }
        }
    }
}

/// The engine refuses the head at the front of `bytes`: httparse refuses it too, or a rule does.
fn compare_refusal(fault: Fault, bytes: &[u8]) {
    // The engine judges each line that is complete: the head may end behind one of them.
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let closed = ends.map(|(end, _)| closed(Kind::Request, &bytes[..=end]));
    let allowed = |head: &[u8]| match read(Kind::Request, head) {
        Other::Accepted(other) => faults(&head[..other.length], &other).contains(&fault),
        Other::Refused => true,
        Other::Partial => false,
    };
    let found = match read(Kind::Request, bytes) {
        Other::Accepted(_) | Other::Refused => allowed(bytes),
        Other::Partial => closed.into_iter().any(|head| allowed(&head)),
    };
    assert!(found, "{fault:?} has no reason");
}

/// The engine waits for more of a head: httparse does too, or refuses what is there.
fn compare_rest(bytes: &[u8]) {
    match read(Kind::Request, bytes) {
        Other::Accepted(head) => panic!("the engine does not see the end of {head:?}"),
        Other::Partial => {}
        Other::Refused => {
            // The line that is not complete yet is at fault.
            let closed = [bytes, b"\r\n\r\n"].concat();
            assert!(requests([&closed[..]]).fault.is_some(), "httparse alone refuses the head");
        }
    }
}

/// The rules that a head breaks, although httparse accepts it.
fn faults(head: &[u8], other: &Accepted) -> Vec<Fault> {
    let mut faults = faults_of_lines(Kind::Request, head, other.fields.len());
    let mut note = |wrong: bool, fault| faults.extend(wrong.then_some(fault));
    note(!is_target(&other.method, &other.target), Fault::Target);
    let lengths = other.all(b"content-length");
    note(lengths.iter().any(|value| decimal(value).is_none()), Fault::Length);
    note(lengths.len() > 1, Fault::Length);
    let encodings = other.all(b"transfer-encoding");
    note(encodings.iter().any(|value| !value.eq_ignore_ascii_case(b"chunked")), Fault::Encoding);
    note(encodings.len() > 1, Fault::Encoding);
    note(!encodings.is_empty() && !lengths.is_empty(), Fault::LengthAndEncoding);
    let new = !encodings.is_empty() || other.first(b"upgrade").is_some();
    note(new && other.version == 0, Fault::NotInHttp10);
    faults
}

/// Whether the target has a form that its method may have (RFC 9112, 3.2).
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let is_host = |text: &[u8]| {
        let plain = |byte: &u8| byte.is_ascii_graphic() && !b"/?#@\\".contains(byte);
        !text.is_empty() && !text.starts_with(b":") && text.iter().all(plain)
    };
    if method == b"CONNECT" {
        let Some(colon) = target.iter().rposition(|byte| *byte == b':') else { return false };
        let (host, port) = (&target[..colon], &target[colon + 1..]);
        return is_host(host) && !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    }
    if target == b"*" {
        return method == b"OPTIONS";
    }
    let target = target.split(|byte| *byte == b'#').next().unwrap();
    match absolute(target) {
        Some((_, rest)) => is_host(rest.split(|byte| b"/?".contains(byte)).next().unwrap()),
        None => target.starts_with(b"/"),
    }
}
