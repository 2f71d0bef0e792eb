//! WebSocket: there is a tunnel only after the upstream's 101.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    Denial, Rig, RigConfig, SITE, before_http1,
    client::{LONG, edge, raw, request_to, to_end, until},
};

const ASKED: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A rig whose upstream is this test.
async fn before_us() -> (Rig, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (Rig::with(RigConfig::upstream(&format!("http://{address}"))).await, listener)
}

/// The peer's and the upstream's side, after the request and before the response.
async fn asked(rig: &Rig, listener: &tokio::net::TcpListener) -> (TlsStream<TcpStream>, TcpStream) {
    let mut peer = edge(rig, &["http/1.1"], SITE).await;
    peer.write_all(ASKED.as_bytes()).await.unwrap();
    let (mut upstream, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(LONG, upstream.read_u8()).await.unwrap().unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("connection: upgrade\r\n"), "{head}");
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "{head}");
    (peer, upstream)
}

async fn tunnel(
    rig: &Rig,
    listener: &tokio::net::TcpListener,
) -> (TlsStream<TcpStream>, TcpStream) {
    let (mut peer, mut upstream) = asked(rig, listener).await;
    // The upstream's first message may share a packet with its 101.
    upstream.write_all(format!("{SWITCHED}hello\n").as_bytes()).await.unwrap();
    let answer = until(&mut peer, "hello\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    (peer, upstream)
}

#[tokio::test]
async fn after_101_bytes_pass_both_ways_and_each_ends_on_its_own() {
    let (rig, listener) = before_us().await;
    let (mut peer, mut upstream) = tunnel(&rig, &listener).await;
    // Bytes that are not HTTP.
    peer.write_all(b"\x81\x05\n\0\r x").await.unwrap();
    let mut read = [0; 7];
    timeout(LONG, upstream.read_exact(&mut read)).await.unwrap().unwrap();
    assert_eq!(&read, b"\x81\x05\n\0\r x");
    peer.shutdown().await.unwrap();
    assert_eq!(timeout(LONG, upstream.read(&mut read)).await.unwrap().unwrap(), 0);
    upstream.write_all(b"late").await.unwrap();
    drop(upstream);
    assert_eq!(to_end(&mut peer).await, "late");
    rig.counters_when(|counters| counters.open == 0 && counters.relayed == 1).await;
}

#[tokio::test]
async fn without_101_there_is_no_tunnel() {
    let (rig, listener) = before_us().await;
    let (mut peer, mut upstream) = asked(&rig, &listener).await;
    upstream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    let answer = until(&mut peer, "no").await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("upgrade"), "{answer}");
    // The next bytes are a request again, and are checked as one.
    peer.write_all(b"GET /admin HTTP/1.1\r\nHost: other.test\r\n\r\n").await.unwrap();
    let answer = until(&mut peer, "opened for.\n").await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    rig.denied(Denial::HostMismatch, 1).await;
}

#[tokio::test]
async fn bytes_that_a_peer_sends_before_101_follow_it_into_the_tunnel_and_nowhere_else() {
    let (rig, listener) = before_us().await;
    let (mut peer, mut upstream) = asked(&rig, &listener).await;
    peer.write_all(b"\x81\x05early\r\n").await.unwrap();
    peer.flush().await.unwrap();
    let mut received = [0; 9];
    let before = timeout(Duration::from_millis(100), upstream.read(&mut received)).await;
    assert!(before.is_err(), "the upstream received bytes before its 101");
    upstream.write_all(SWITCHED.as_bytes()).await.unwrap();
    timeout(LONG, upstream.read_exact(&mut received)).await.unwrap().unwrap();
    assert_eq!(&received, b"\x81\x05early\r\n");
}

#[tokio::test]
async fn an_unsolicited_101_is_a_502() {
    let (rig, listener) = before_us().await;
    let mut peer = edge(&rig, &["http/1.1"], SITE).await;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    let mut upstream = request_to(&listener).await;
    upstream.write_all(SWITCHED.as_bytes()).await.unwrap();
    let answer = until(&mut peer, "valid response.\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    rig.denied(Denial::UpstreamBroken, 1).await;
}

#[tokio::test]
async fn an_upgrade_to_h2c_does_not_reach_the_application() {
    let (rig, application) = before_http1().await;
    let asked = "GET / HTTP/1.1\r\nHost: example.com\r\n\
        Connection: Upgrade, HTTP2-Settings, close\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n\r\n";
    assert!(raw(&rig, asked.as_bytes()).await.starts_with("HTTP/1.1 200 "));
    let asked = application.asked_once();
    for removed in ["upgrade", "http2-settings", "connection"] {
        assert!(!asked.head.headers.contains_key(removed), "{removed}");
    }
}
