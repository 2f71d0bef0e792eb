//! Properties of any input: its division into pieces does not matter, and what is written is read.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{Ending, requests, responses};
use crate::{
    BodyLength, Fields,
    http1::{NameCase, chunk, end_of_head, field, last_chunk, request_line, status_line},
};

/// Messages that are often valid, or wrong in one place.
fn messages(starts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "Host: a.test\r\n",
        "Content-Length: 3\r\n",
        "content-length: 03, 3\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close, x\r\n",
        "Upgrade: x\r\n",
        "X-Y:\t z \t\r\n",
        "x:\r\n",
        " folded\r\n",
    ]);
    let body = prop::sample::select(vec![
        "",
        "abc",
        "3\r\nabc\r\n0\r\n\r\n",
        "1;x\r\na\r\n2\r\n\r\n\r\n0\r\nT: u\r\n\r\n",
        "\r\n",
    ]);
    let message = (prop::sample::select(starts), vec(line, 0..4), body)
        .prop_map(|(start, lines, body)| format!("{start}{}\r\n{body}", lines.concat()));
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n \t:;,#?*/@0\0\x7f\x80"[..]),];
    let change = (any::<Index>(), byte, 0..3_u8);
    (vec(message, 1..4), vec(change, 0..3)).prop_map(|(messages, changes)| {
        let mut bytes = messages.concat().into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b#c HTTP/1.1\r\n",
    "PUT http://a.test?b HTTP/1.0\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "CONNECT a.test:1 HTTP/1.1\r\n",
];

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204\r\n",
    "HTTP/1.1 304 \r\n",
    "HTTP/1.1 100 Continue\r\n",
    "HTTP/1.0 404 Not Found\r\n",
];

const METHODS: &[&str] = &["GET", "HEAD", "CONNECT"];

fn pieces(bytes: &[u8], cuts: &[Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    #[test]
    fn requests_are_the_same_however_they_are_split(
        bytes in messages(REQUESTS),
        cuts in vec(any::<Index>(), 0..9),
    ) {
        let whole = requests([&bytes[..]]);
        let split = pieces(&bytes, &cuts);
        prop_assert_eq!(&requests(split.iter().map(|piece| &piece[..])), &whole);
        prop_assert_eq!(&requests(bytes.chunks(1)), &whole);
    }

    #[test]
    fn responses_are_the_same_however_they_are_split(
        bytes in messages(RESPONSES),
        cuts in vec(any::<Index>(), 0..9),
    ) {
        let (whole, mut reader) = responses(METHODS, [&bytes[..]]);
        let split = pieces(&bytes, &cuts);
        prop_assert_eq!(&responses(METHODS, split.iter().map(|piece| &piece[..])).0, &whole);
        let (single, mut other) = responses(METHODS, bytes.chunks(1));
        prop_assert_eq!(&single, &whole);
        prop_assert_eq!(other.keeps_alive(), reader.keeps_alive());
        if whole.1.is_none() {
            prop_assert_eq!(other.end_of_input(), reader.end_of_input());
        }
    }

    #[test]
    fn arbitrary_bytes_give_events_or_a_fault(bytes in vec(any::<u8>(), 0..300)) {
        requests([&bytes[..]]);
        responses(&["GET"], [&bytes[..]]);
    }

    #[test]
    fn what_is_written_is_read(
        path in "/[!-\"$-~]{0,20}",
        names in vec("x-[a-z][a-z0-9-]{0,8}", 0..6),
        value in "([!-~]([ -~]{0,20}[!-~])?)?",
        status in 200..=999_u16,
        body in vec(vec(any::<u8>(), 0..50), 0..5),
        case in prop::sample::select(vec![NameCase::Lower, NameCase::Title]),
    ) {
        let mut fields = Fields::default();
        for name in &names {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let rest = |out: &mut Vec<u8>| {
            for each in fields.iter() {
                field(out, each.name, each.value, case);
            }
            field(out, b"transfer-encoding", b"chunked", case);
            end_of_head(out);
            body.iter().for_each(|data| chunk(out, data));
            last_chunk(out, &fields, case);
        };
        let mut out = Vec::new();
        request_line(&mut out, b"POST", path.as_bytes());
        rest(&mut out);
        let (read, malformed) = requests([&out[..]]);
        prop_assert_eq!((malformed, read.len(), read[0].end), (None, 1, Ending::Complete));
        prop_assert_eq!(&read[0].head.method, b"POST");
        prop_assert_eq!(&read[0].head.path[..], path.as_bytes());
        prop_assert_eq!((&read[0].head.fields, &read[0].trailers), (&fields, &fields));
        prop_assert_eq!((&read[0].body, read[0].head.body), (&body.concat(), BodyLength::Unknown));

        out.clear();
        status_line(&mut out, status);
        if matches!(status, 204 | 304) {
            end_of_head(&mut out);
        } else {
            rest(&mut out);
        }
        let ((read, malformed), _) = responses(&["GET"], [&out[..]]);
        prop_assert_eq!((malformed, read.len(), read[0].end), (None, 1, Ending::Complete));
        prop_assert_eq!(read[0].head.status, status);
        if !matches!(status, 204 | 304) {
            prop_assert_eq!((&read[0].head.fields, &read[0].body), (&fields, &body.concat()));
        }
    }
}
