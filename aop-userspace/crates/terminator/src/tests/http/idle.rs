//! Idle HTTP/1 connections, whose buffers were released.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};

use super::{
    Rig, RigConfig, SITE, before_http1,
    client::{LONG, edge, request_to, to_end, until},
};
use crate::{Denial, Drained, tests::http::Application};

const ASK: &[u8] = b"GET /one HTTP/1.1\r\nHost: example.com\r\n\r\n";
/// By then an idle connection has released its buffers.
const QUIET: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_request_after_an_idle_time_is_answered_on_the_same_connection() {
    let (rig, application) = before_http1().await;
    let mut peer = edge(&rig, &["http/1.1"], SITE).await;
    // Idle before the first request, and after one.
    for _ in 0..2 {
        sleep(QUIET).await;
        peer.write_all(ASK).await.unwrap();
        until(&mut peer, "answers /one").await;
    }
    // In two pieces with an idle time between them.
    sleep(QUIET).await;
    let (first, last) = ASK.split_at(9);
    peer.write_all(first).await.unwrap();
    sleep(QUIET).await;
    peer.write_all(last).await.unwrap();
    until(&mut peer, "answers /one").await;
    let body = vec![b'x'; 6000];
    sleep(QUIET).await;
    let head = "POST /echo HTTP/1.1\r\nHost: example.com\r\nContent-Length: 6000\r\n\r\n";
    peer.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    until(&mut peer, "0\r\n\r\n").await;
    assert_eq!(application.asked()[3].body.len(), 6000);
    assert_eq!(application.asked().len(), 4);
    assert_eq!(rig.counters().accepted, 1);
}

#[tokio::test]
async fn a_malformed_request_after_an_idle_time_is_refused() {
    let (rig, application) = before_http1().await;
    let mut peer = edge(&rig, &["http/1.1"], SITE).await;
    peer.write_all(ASK).await.unwrap();
    until(&mut peer, "answers /one").await;
    sleep(QUIET).await;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: example.com\n\r\n").await.unwrap();
    assert!(to_end(&mut peer).await.starts_with("HTTP/1.1 400 "));
    rig.denied(Denial::BadRequest, 1).await;
    assert_eq!(application.asked().len(), 1);
}

#[tokio::test]
async fn an_idle_connection_ends_in_order_whichever_side_ends_it() {
    let (rig, _application) = before_http1().await;
    let rest = async || {
        let mut peer = edge(&rig, &["http/1.1"], SITE).await;
        peer.write_all(ASK).await.unwrap();
        until(&mut peer, "answers /one").await;
        peer
    };
    let (mut leaving, mut left) = (rest().await, rest().await);
    sleep(QUIET).await;
    leaving.shutdown().await.unwrap();
    assert_eq!(to_end(&mut leaving).await, "");
    rig.counters_when(|counters| counters.open == 1).await;
    let drained = timeout(LONG, rig.service.drain(LONG)).await.unwrap();
    assert_eq!(drained, Drained::Complete);
    assert_eq!(to_end(&mut left).await, "");
}

#[tokio::test]
async fn the_idle_time_begins_after_a_request_however_long_that_took() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let short = RigConfig::upstream(&url).relayed(|http| http.idle = Duration::from_secs(1));
    let rig = Rig::with(short).await;
    let mut peer = edge(&rig, &["http/1.1"], SITE).await;
    peer.write_all(ASK).await.unwrap();
    let mut upstream = request_to(&listener).await;
    sleep(Duration::from_millis(1500)).await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none").await.unwrap();
    until(&mut peer, "one").await;
    sleep(Duration::from_millis(300)).await;
    peer.write_all(ASK).await.unwrap();
    let mut head = [0; 4096];
    assert!(timeout(LONG, upstream.read(&mut head)).await.unwrap().unwrap() > 0);
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo").await.unwrap();
    until(&mut peer, "two").await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_configured_time() {
    let application = Application::http1().await;
    let config = RigConfig::upstream(&application.url()).relayed(|http| http.idle = QUIET * 2);
    let rig = Rig::with(config).await;
    let mut peer = edge(&rig, &["http/1.1"], SITE).await;
    assert!(timeout(QUIET, to_end(&mut peer)).await.is_err(), "it ends too early");
    assert_eq!(timeout(QUIET * 2, to_end(&mut peer)).await.expect("it ends"), "");
}
