//! A malformed HTTP/2 request ends its own stream, and no other (RFC 9113, 8.1.1).

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::{
    Denial, Rig, RigConfig, SITE,
    client::{LONG, request_to},
    frames::{END_OF_BOTH, GOAWAY, HEADERS, frame, get, opened, parsed},
};

/// The head of a GET, with one more field.
fn with(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = get("/");
    block.push(0);
    for part in [name, value] {
        block.push(u8::try_from(part.len()).unwrap());
        block.extend_from_slice(part);
    }
    block
}

#[tokio::test]
async fn other_streams_live_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig =
        Rig::with(RigConfig::upstream(&format!("http://{}", listener.local_addr().unwrap()))).await;
    let mut peer = opened(&rig).await;
    peer.write_all(&frame(HEADERS, END_OF_BOTH, 1, &get("/slow"))).await.unwrap();
    let mut upstream = request_to(&listener).await;
    let mut blocks = vec![
        with(b"Upper", b"x"),
        with(b"", b"x"),
        with(b"a b", b"x"),
        with(b"x", b"a\0b"),
        with(b"x", b"a\rb"),
        with(b"connection", b"close"),
        with(b"transfer-encoding", b"chunked"),
        with(b"content-length", b"x"),
        with(b":path", b"/second"),
        with(b"x\"y", b"z"),
    ];
    let mut odd_path = get("/");
    odd_path[4] = b'\x7f';
    blocks.push(odd_path);
    let count = blocks.len();
    for (block, stream) in blocks.iter().zip((3..).step_by(2)) {
        peer.write_all(&frame(HEADERS, END_OF_BOTH, stream, block)).await.unwrap();
        peer.flush().await.unwrap();
    }
    rig.denied(Denial::BadRequest, count as u64).await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow").await.unwrap();
    let mut received = Vec::new();
    let reading = async {
        while !received.ends_with(b"slow") {
            peer.read_buf(&mut received).await.unwrap();
        }
    };
    timeout(LONG, reading).await.expect("the response of the first stream");
    let frames = parsed(&received);
    assert!(frames.iter().all(|(kind, _)| *kind != GOAWAY), "{frames:?}");
    // Each got an answer of its own.
    let heads = frames.iter().filter(|(kind, _)| *kind == HEADERS).count();
    assert_eq!(heads, count + 1);
}

#[tokio::test]
async fn a_refused_request_whose_peer_takes_no_data_gets_its_text_later() {
    let (rig, _application) = super::before_http1().await;
    let mut peer = super::client::edge(&rig, &["h2"], SITE).await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let settings = frame(super::frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut head = get("/");
    head.truncate(head.len() - SITE.len() - 1);
    head.push(9);
    head.extend_from_slice(b"other.tes");
    let request = frame(HEADERS, END_OF_BOTH, 1, &head);
    let sent = [super::frames::PREFACE, &settings, &request].concat();
    peer.write_all(&sent).await.unwrap();
    rig.denied(Denial::HostMismatch, 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let update = frame(super::frames::WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]);
    peer.write_all(&update).await.unwrap();
    let mut received = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&received).contains("opened for.\n") {
            peer.read_buf(&mut received).await.unwrap();
        }
    };
    timeout(LONG, reading).await.expect("the text arrives");
}
