//! The start of a connection: split, slow and silent handshakes, and other protocols.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use aop_tls::{
    Refusal,
    testing::{client_hello, connect_over},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use super::rig::{Rig, RigConfig, SITE};

const LONG: Duration = Duration::from_secs(10);

/// The bytes that the service sends in answer to `bytes` until it closes.
async fn said_to(rig: &Rig, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    for byte in bytes.chunks(1) {
        stream.write_all(byte).await.unwrap();
    }
    let mut answer = Vec::new();
    timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().expect("no reset");
    answer
}

/// Writes one byte at a time.
struct Trickle(TcpStream);

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[tokio::test]
async fn a_handshake_byte_by_byte_is_served() {
    let rig = Rig::new().await;
    let stream = TcpStream::connect(rig.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut peer = connect_over(&rig.edge(), Trickle(stream), SITE).await.unwrap();
    peer.write_all(b"question").await.unwrap();
    let (mut upstream, _) = rig.upstream.accept().await.unwrap();
    let mut buffer = [0; 8];
    upstream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"question");
}

#[tokio::test]
async fn a_client_hello_over_two_records_is_understood() {
    let rig = Rig::new().await;
    let whole = client_hello(&rig.edge(), SITE);
    // The head of a record has five bytes; each half of the content gets a head of its own.
    let (first, second) = whole[5..].split_at(40);
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], &length[..], part].concat()
    };
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(&record(first)).await.unwrap();
    stream.write_all(&record(second)).await.unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [22]);
}

#[tokio::test]
async fn plain_http_is_answered_in_http() {
    let rig = Rig::new().await;
    for request in ["GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n"] {
        let answer = String::from_utf8(said_to(&rig, request.as_bytes()).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nThis port speaks TLS: use https:// to reach it.\n"));
    }
    rig.refusals_counted("-", Refusal::NotTls, 2).await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn a_connection_that_begins_with_garbage_is_closed_in_order() {
    let rig = Rig::new().await;
    for garbage in
        [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\x00\x00\x00\x00", b"GARBAGE", b"\x80\x2e\x01"]
    {
        assert_eq!(said_to(&rig, garbage).await, b"", "{garbage:?}");
    }
    rig.refusals_counted("-", Refusal::BadHello, 4).await;
}

#[tokio::test]
async fn a_broken_client_hello_gets_an_alert() {
    let rig = Rig::new().await;
    let answer = said_to(&rig, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").await;
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    rig.refusals_counted("-", Refusal::BadHello, 1).await;
}

#[tokio::test]
async fn a_silent_peer_is_closed_at_the_deadline() {
    let rig =
        Rig::with(RigConfig { deadline: Duration::from_millis(300), ..RigConfig::default() }).await;
    rig.serve(&rig.edge(), SITE).await;
    assert_eq!(said_to(&rig, b"").await, b"");
    rig.refusals_counted("-", Refusal::Deadline, 1).await;
    rig.counters_when(|counters| counters.open == 0).await;
}

#[tokio::test]
async fn a_peer_that_stalls_after_its_hello_is_closed_at_the_deadline() {
    let rig =
        Rig::with(RigConfig { deadline: Duration::from_millis(300), ..RigConfig::default() }).await;
    let answer = said_to(&rig, &client_hello(&rig.edge(), SITE)).await;
    assert_eq!(answer[0], 22);
    rig.refusals_counted(SITE, Refusal::Deadline, 1).await;
}

#[tokio::test]
async fn a_peer_that_disconnects_is_counted_as_gone() {
    let rig = Rig::new().await;
    drop(TcpStream::connect(rig.address).await.unwrap());
    rig.refusals_counted("-", Refusal::PeerGone, 1).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(&client_hello(&rig.edge(), SITE)[..100]).await.unwrap();
    drop(stream);
    rig.refusals_counted("-", Refusal::PeerGone, 2).await;
}
