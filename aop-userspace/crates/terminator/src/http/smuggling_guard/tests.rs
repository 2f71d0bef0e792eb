use super::*;

const GOOD: [&str; 6] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length:  5 \r\n\r\nGET \n",
    "POST / HTTP/1.1\r\ntransfer-ENCODING: Chunked\r\n\r\n5;a=b\r\n\n\n\n\n\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: a\r\n\r\n",
    "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX:\ta b\r\n\r\n",
];

const BAD: [(&str, FramingFault); 24] = [
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", FramingFault::BareLineEnd),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", FramingFault::BareLineEnd),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", FramingFault::BareLineEnd),
    ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", FramingFault::BareLineEnd),
    ("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", FramingFault::ControlCharacter),
    ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", FramingFault::FoldedLine),
    ("GET / HTTP/1.1\r\n X: a\r\n\r\n", FramingFault::FoldedLine),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", FramingFault::FieldName),
    ("GET / HTTP/1.1\r\nHost\r\n\r\n", FramingFault::FieldName),
    ("GET /a b HTTP/1.1\r\n\r\n", FramingFault::RequestLine),
    ("GET / HTTP/1.2\r\n\r\n", FramingFault::RequestLine),
    ("GET /\r\n\r\n", FramingFault::RequestLine),
    ("POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", FramingFault::Length),
    ("POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", FramingFault::Length),
    ("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", FramingFault::Length),
    ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", FramingFault::Length),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", FramingFault::Encoding),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n", FramingFault::Encoding),
    (
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        FramingFault::LengthAndEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        FramingFault::LengthAndEncoding,
    ),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", FramingFault::NotInHttp10),
    ("GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", FramingFault::NotInHttp10),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n", FramingFault::Chunk),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", FramingFault::Chunk),
];

fn followed(pieces: &[&[u8]]) -> Result<FramingState, FramingFault> {
    let mut strict = RequestFramer::default();
    for piece in pieces {
        strict.check(piece).map_err(|(fault, _)| fault)?;
    }
    Ok(strict.state)
}

#[test]
fn an_unambiguous_request_passes_however_it_is_split() {
    for text in GOOD {
        let bytes = [text, GOOD[0]].concat();
        for at in 0..bytes.len() {
            let (a, b) = bytes.as_bytes().split_at(at);
            assert_eq!(followed(&[a, b]), Ok(FramingState::RequestLine), "{text:?} split at {at}");
        }
    }
}

#[test]
fn an_ambiguous_request_is_refused_however_it_is_split() {
    for (text, fault) in BAD {
        for at in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            assert_eq!(followed(&[a, b]), Err(fault), "{text:?} split at {at}");
        }
    }
}

#[test]
fn a_fault_reports_the_length_of_the_complete_requests_before_it() {
    let post = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    for (text, whole) in [
        (format!("{}\0\r\n", GOOD[0]), GOOD[0].len()),
        (format!("{post}{post}GET / HTTP/1.1\r\n no\r\n"), 2 * post.len()),
        (BAD[0].0.to_owned(), 0),
    ] {
        let followed = RequestFramer::default().check(text.as_bytes());
        assert_eq!(followed.expect_err("a fault").1, whole, "{text:?}");
    }
    let mut strict = RequestFramer::default();
    let (first, last) = post.split_at(post.len() - 2);
    assert_eq!(strict.check(first.as_bytes()), Ok(()));
    let last = [last, "\0\r\n"].concat();
    assert_eq!(strict.check(last.as_bytes()), Err((FramingFault::ControlCharacter, 2)));
}

#[test]
fn a_head_may_have_128_kib_and_a_hundred_fields_and_no_more() {
    let head = |fields: usize, length: usize| {
        let field = format!("X: {}\r\n", "x".repeat(length));
        format!("GET / HTTP/1.1\r\n{}\r\n", field.repeat(fields)).into_bytes()
    };
    assert_eq!(followed(&[&head(1, 128 * 1024)]), Ok(FramingState::RequestLine));
    assert_eq!(followed(&[&head(1, 200 * 1024)]), Err(FramingFault::TooLarge));
    assert_eq!(followed(&[&head(100, 1)]), Ok(FramingState::RequestLine));
    assert_eq!(followed(&[&head(101, 1)]), Err(FramingFault::TooLarge));
    // The bounds apply to each request; chunks do not add up.
    let many = [head(1, 100 * 1024), head(1, 100 * 1024)].concat();
    assert_eq!(followed(&[&many]), Ok(FramingState::RequestLine));
    let chunks = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
        + &"1\r\na\r\n".repeat(100_000);
    assert_eq!(followed(&[chunks.as_bytes()]), Ok(FramingState::ChunkSize));
}
