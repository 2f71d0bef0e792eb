//! Request smuggling: aop refuses requests that hide another one, and none reaches the application.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{
    SITE, before_http1,
    client::{edge, raw, to_end, until},
};
use crate::Denial;

/// Ambiguous requests. The bytes after each are a separate request to a parser that reads it
/// differently.
const SHAPES: [(&str, &str); 20] = [
    (
        "a length after chunks",
        "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ),
    (
        "a length before chunks",
        "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
    ),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0, 40\r\n\r\n"),
    ("a signed length", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: +0\r\n\r\n"),
    (
        "chunked is not last",
        "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "an obscure encoding",
        "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: xchunked\r\n\r\n",
    ),
    (
        "chunks in 1.0",
        "POST / HTTP/1.0\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "an upgrade in 1.0",
        "GET / HTTP/1.0\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    ("a folded header", "GET / HTTP/1.1\r\nHost: example.com\r\nX: a\r\n b\r\n\r\n"),
    ("a bare LF in the head", "GET / HTTP/1.1\nHost: example.com\n\n"),
    ("a bare LF at its end", "GET / HTTP/1.1\r\nHost: example.com\r\n\n"),
    (
        "a bare CR in a value",
        "GET / HTTP/1.1\r\nHost: example.com\r\nX: a\rContent-Length: 9\r\n\r\n",
    ),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: example.com\r\nX: a\0b\r\n\r\n"),
    (
        "a space before the colon",
        "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length : 40\r\n\r\n",
    ),
    (
        "no chunk size",
        "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    ),
    (
        "a chunk longer than it says",
        "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a chunk size that ends in LF",
        "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    ),
    ("a name that is no token", "GET / HTTP/1.1\r\nHost: example.com\r\nX(y: a\r\n\r\n"),
];

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[tokio::test]
async fn an_ambiguous_request_never_reaches_the_application() {
    for (what, shape) in SHAPES {
        let (rig, application) = before_http1().await;
        let mut good = edge(&rig, &[], SITE).await;
        good.write_all(b"GET /good HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
        until(&mut good, "the application answers /good").await;
        assert_eq!(application.asked().len(), 1);

        let answer = raw(&rig, format!("{shape}{HIDDEN}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{what}: {answer}");
        rig.denied(Denial::BadRequest, 1).await;
        assert_eq!(application.asked().len(), 1, "{what} reached the application");
        // No part of it did either: no connection was opened beside the idle one.
        assert_eq!(application.connections(), 1, "{what}");
        rig.counters_when(|counters| counters.open == 1).await;
    }
}

#[tokio::test]
async fn a_malformed_later_chunk_leaves_the_request_incomplete() {
    let (rig, application) = before_http1().await;
    let mut stream = edge(&rig, &[], SITE).await;
    let head = "POST /echo HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    while application.connections() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stream.write_all(format!("5\r\nhello!!\r\n0\r\n\r\n{HIDDEN}").as_bytes()).await.unwrap();
    let answer = to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{answer}");
    rig.denied(Denial::BadRequest, 1).await;
    rig.counters_when(|counters| counters.open == 0).await;
    assert!(application.asked().is_empty(), "{:?}", application.asked());
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_431() {
    let (rig, application) = before_http1().await;
    let long = format!("GET / HTTP/1.1\r\nHost: example.com\r\nX: {}\r\n\r\n", "x".repeat(150_000));
    let answer = raw(&rig, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nHost: example.com\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let answer = raw(&rig, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    rig.denied(Denial::HeadTooLarge, 2).await;
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn a_connect_request_is_refused() {
    let (rig, application) = before_http1().await;
    let answer = raw(
        &rig,
        b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    rig.denied(Denial::BadRequest, 1).await;
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn complete_requests_before_a_fault_are_answered_first() {
    let (rig, application) = before_http1().await;
    let post = "POST /one HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody";
    // At once, and after an idle time.
    for rest in [0, 100] {
        let mut peer = edge(&rig, &[], SITE).await;
        tokio::time::sleep(Duration::from_millis(rest)).await;
        peer.write_all([post, "\0\r\n\r\n"].concat().as_bytes()).await.unwrap();
        let answer = to_end(&mut peer).await;
        let (first, then) = answer.split_once("answers /one").expect("an answer");
        assert!(first.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(then.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert!(application.asked().iter().all(|asked| asked.body == b"body"));
    rig.denied(Denial::BadRequest, 2).await;
}
