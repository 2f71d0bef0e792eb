//! Relaying bytes in both directions, and passing on each kind of end.

use std::{io, time::Duration};

use aop_config::{ProxyProtocol, Upstream, UpstreamAddress};
use aop_tls::{Refusal, testing::connect};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixListener},
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::rig::{Rig, RigConfig, SITE, exchange};

const LONG: Duration = Duration::from_secs(20);

/// All bytes until the end, and the result of the last read.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> (Vec<u8>, io::Result<usize>) {
    let mut read = Vec::new();
    let end = timeout(LONG, stream.read_to_end(&mut read)).await.unwrap();
    (read, end)
}

fn kind(end: io::Result<usize>) -> Option<io::ErrorKind> {
    end.err().map(|error| error.kind())
}

/// Ends TCP in order, without a close_notify in TLS.
async fn end_without_close_notify(peer: TlsStream<TcpStream>) -> TcpStream {
    let (mut stream, _) = peer.into_inner();
    stream.shutdown().await.unwrap();
    stream
}

#[tokio::test]
async fn a_peer_that_has_half_closed_still_gets_a_late_answer() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    peer.write_all(b"the whole question").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(rest(&mut upstream).await.0, b"the whole question");
    tokio::time::sleep(Duration::from_millis(100)).await;
    upstream.write_all(b"late").await.unwrap();
    drop(upstream);
    let (answer, end) = rest(&mut peer).await;
    assert_eq!((&answer[..], kind(end)), (&b"late"[..], None));
    rig.counters_when(|counters| counters.open == 0).await;
}

#[tokio::test]
async fn an_upstream_that_has_half_closed_still_receives_from_the_peer() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    upstream.write_all(b"hello").await.unwrap();
    upstream.shutdown().await.unwrap();
    let (greeting, end) = rest(&mut peer).await;
    assert_eq!((&greeting[..], kind(end)), (&b"hello"[..], None));
    peer.write_all(b"and more").await.unwrap();
    peer.shutdown().await.unwrap();
    let (received, end) = rest(&mut upstream).await;
    assert_eq!((&received[..], kind(end)), (&b"and more"[..], None));
}

#[tokio::test]
async fn an_end_without_close_notify_in_mid_stream_resets_the_upstream() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    exchange(&mut peer, &mut upstream).await;
    peer.write_all(b"half of a quest").await.unwrap();
    let mut half = [0; 15];
    upstream.read_exact(&mut half).await.unwrap();
    let _open = end_without_close_notify(peer).await;
    assert_eq!(kind(rest(&mut upstream).await.1), Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn an_end_without_close_notify_of_an_idle_peer_counts_as_orderly() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    exchange(&mut peer, &mut upstream).await;
    let _open = end_without_close_notify(peer).await;
    assert_eq!(kind(rest(&mut upstream).await.1), None);
    let (peer, mut upstream) = rig.pull().await;
    let _open_too = end_without_close_notify(peer).await;
    assert_eq!(kind(rest(&mut upstream).await.1), None);
}

#[tokio::test]
async fn a_reset_of_the_peer_resets_the_upstream() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    exchange(&mut peer, &mut upstream).await;
    SockRef::from(peer.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    assert_eq!(kind(rest(&mut upstream).await.1), Some(io::ErrorKind::ConnectionReset));
    rig.counters_when(|counters| counters.open == 0).await;
}

#[tokio::test]
async fn a_reset_of_the_upstream_is_no_orderly_end_for_the_peer() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    exchange(&mut peer, &mut upstream).await;
    upstream.write_all(b"half of an ans").await.unwrap();
    let mut half = [0; 14];
    peer.read_exact(&mut half).await.unwrap();
    SockRef::from(&upstream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(upstream);
    assert_eq!(kind(rest(&mut peer).await.1), Some(io::ErrorKind::UnexpectedEof));
    drop(peer);
    rig.counters_when(|counters| counters.open == 0).await;
}

#[tokio::test]
async fn an_answer_that_precedes_the_end_of_the_question_reaches_the_peer() {
    let rig = Rig::new().await;
    let (peer, mut upstream) = rig.pull().await;
    let (mut reading, mut writing) = tokio::io::split(peer);
    let upload = async {
        while writing.write_all(&[0; 16 * 1024]).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let answer = async {
        upstream.read_exact(&mut [0; 1024]).await.unwrap();
        upstream.write_all(b"413 too large").await.unwrap();
        drop(upstream);
        let mut answer = [0; 13];
        timeout(LONG, reading.read_exact(&mut answer)).await.unwrap().unwrap();
        answer
    };
    tokio::select! {
        () = upload => {}
        answer = answer => assert_eq!(&answer, b"413 too large"),
    }
}

#[tokio::test]
async fn megabytes_arrive_unchanged_in_both_directions_at_once() {
    let rig = Rig::new().await;
    let (peer, upstream) = rig.pull().await;
    let sent = |seed: u64| {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..3_000_001).map(|_| next()).collect::<Vec<u8>>()
    };
    let (question, answer) = (sent(1), sent(2));
    let (mut peer_in, mut peer_out) = tokio::io::split(peer);
    let (mut upstream_in, mut upstream_out) = upstream.into_split();
    let ((got_answer, _), (got_question, _), (), ()) = tokio::join!(
        rest(&mut peer_in),
        rest(&mut upstream_in),
        async {
            peer_out.write_all(&question).await.unwrap();
            peer_out.shutdown().await.unwrap();
        },
        async {
            upstream_out.write_all(&answer).await.unwrap();
            upstream_out.shutdown().await.unwrap();
        },
    );
    assert!(got_question == question && got_answer == answer);
}

#[tokio::test]
async fn an_unreachable_upstream_has_its_own_refusal() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Some(Upstream::Bytes(UpstreamAddress::Tcp(nobody.to_string())));
    let rig = Rig::with(RigConfig { upstream, ..RigConfig::default() }).await;
    let mut peer = connect(&rig.edge(), rig.address, SITE).await.unwrap();
    let (nothing, end) = rest(&mut peer).await;
    assert_eq!((&nothing[..], kind(end)), (&b""[..], None));
    rig.refusals_counted(SITE, Refusal::UpstreamUnreachable, 1).await;
    let counters = rig.counters();
    assert_eq!((counters.accepted, counters.identities.len()), (0, 1));
}

#[tokio::test]
async fn a_unix_upstream_is_served() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let rig = Rig::with(RigConfig {
        upstream: Some(Upstream::Bytes(UpstreamAddress::Unix(path))),
        proxy: ProxyProtocol::V1,
        ..RigConfig::default()
    })
    .await;
    let mut peer = connect(&rig.edge(), rig.address, SITE).await.unwrap();
    peer.write_all(b"question").await.unwrap();
    peer.shutdown().await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let (received, _) = rest(&mut upstream).await;
    assert!(received.starts_with(b"PROXY TCP4 127.0.0.1 127.0.0.1 "));
    assert!(received.ends_with(b"\r\nquestion"));
    upstream.write_all(b"answer").await.unwrap();
    drop(upstream);
    assert_eq!(rest(&mut peer).await.0, b"answer");
}
