//! Messages that are often valid, or wrong in one place.

use proptest::{collection::vec, prelude::*, sample::Index};

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b#c HTTP/1.1\r\n",
    "HEAD /%C3%A9/\u{e9} HTTP/1.1\r\n",
    "PUT http://a.test?b HTTP/1.0\r\n",
    "GET HTTPS://[::1]:8443/x?y#z HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "OPTIONS http://a.test HTTP/1.1\r\n",
    "CONNECT a.test:1 HTTP/1.1\r\n",
    "PRI * HTTP/2.0\r\n",
];

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204\r\n",
    "HTTP/1.1 304 \r\n",
    "HTTP/1.1 100 Continue\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1 200 \u{e9}\tx\n",
    "HTTP/1.0 404 Not Found\r\n",
];

const FIELDS: &[&str] = &[
    "Host: a.test\r\n",
    "Content-Length: 3\r\n",
    "content-length: 03, 3\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 9223372036854775807\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: Chunked\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "Connection: close, x\r\n",
    "Connection: Keep-Alive\r\n",
    "Upgrade: x\r\n",
    "Expect: 100-continue\r\n",
    "X-Y:\t z \t\r\n",
    "x:\r\n",
    "x: y\n",
    " folded\r\n",
    "\t\r\n",
];

const BODIES: &[&str] = &[
    "",
    "abc",
    "3\r\nabc\r\n0\r\n\r\n",
    "1;x\r\na\r\n2\r\n\r\n\r\n0\r\nT: u\r\n\r\n",
    "00a; e=\"v\"\r\n0123456789\r\n00\r\nA: b\r\n c\r\n\r\n",
    "3 \r\nabc\r\n0\t\r\n\r\n",
    "\r\n",
];

/// Bytes of requests.
pub(crate) fn requests() -> impl Strategy<Value = Vec<u8>> {
    messages(REQUESTS)
}

/// A byte that chooses the methods, and bytes of responses.
pub(crate) fn responses() -> impl Strategy<Value = Vec<u8>> {
    let methods = prop_oneof![Just(0), any::<u8>()];
    (methods, messages(RESPONSES)).prop_map(|(methods, bytes)| [&[methods], &bytes[..]].concat())
}

fn messages(starts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let one = |of| prop::sample::select(of);
    let message = (one(starts), vec(one(FIELDS), 0..4), one(BODIES))
        .prop_map(|(start, lines, body)| format!("{start}{}\r\n{body}", lines.concat()));
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n \t:;,#?*/@0\0\x7f\x80"[..])];
    let change = (any::<Index>(), byte, 0..4_u8);
    (vec(message, 1..4), vec(change, 0..3)).prop_map(|(messages, changes)| {
        let mut bytes = messages.concat().into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => bytes.truncate(at.max(1)),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    })
}
