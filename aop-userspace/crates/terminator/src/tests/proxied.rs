//! PROXY headers: received before TLS, and sent to upstreams.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use aop_config::{ClientCertForwarding, ProxyProtocol};
use aop_tls::{
    HandshakeFacts, Refusal,
    testing::{Leaf, client_hello, connect, connect_over},
};
use rcgen::{CustomExtension, DnType};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

use super::{
    super::proxy::{self, ProxyAddresses},
    log::capture_log,
    rig::{Rig, RigConfig, SITE, exchange},
};
use crate::{Denial, DeniedCount};

const LONG: Duration = Duration::from_secs(10);
const V1: &[u8] = b"PROXY TCP4 203.0.113.9 203.0.113.1 4711 443\r\n";
/// The same in version 2, with a NOOP field.
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x10\xcb\x00\x71\x09\xcb\x00\x71\x01\x12\x67\x01\xbb\
    \x04\x00\x01x";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x07\x04\x00\x04skip";

async fn with_sender(proxy: ProxyProtocol) -> Rig {
    let proxy_from = vec!["127.0.0.1/32".parse().unwrap()];
    Rig::with(RigConfig { proxy, proxy_from, ..RigConfig::default() }).await
}

/// A pull of the edge that sends `header` first.
async fn pull(
    rig: &Rig,
    client: &Arc<ClientConfig>,
    header: &[u8],
) -> io::Result<(TlsStream<TcpStream>, SocketAddr)> {
    let mut stream = TcpStream::connect(rig.address).await?;
    let own = stream.local_addr()?;
    stream.write_all(header).await?;
    Ok((connect_over(client, stream, SITE).await?, own))
}

/// Sends `bytes`; the service closes in order and sends nothing.
async fn refused(rig: &Rig, bytes: &[u8]) {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().expect("no reset");
    assert_eq!(answer, b"");
}

/// The first line of text that the upstream receives.
async fn line(rig: &Rig) -> String {
    let (mut upstream, _) = timeout(LONG, rig.upstream.accept()).await.unwrap().unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(timeout(LONG, upstream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn an_upstream_gets_a_header_about_the_peer_and_its_handshake() {
    let certificate = ClientCertForwarding::Shown;
    for proxy in [ProxyProtocol::V1, ProxyProtocol::V2(certificate)] {
        let rig = Rig::with(RigConfig { proxy, ..RigConfig::default() }).await;
        let leaf = rig.client_ca.edge();
        let client = rig.client(Some(&leaf));
        let (mut peer, mut upstream) = rig.pull_as(&client, SITE).await.unwrap();
        let source = peer.get_ref().0.local_addr().unwrap();
        peer.write_all(b"question").await.unwrap();
        peer.shutdown().await.unwrap();
        let mut received = Vec::new();
        timeout(LONG, upstream.read_to_end(&mut received)).await.unwrap().unwrap();
        let ends = ProxyAddresses { source, destination: rig.address };
        let handshake = HandshakeFacts::of(SITE, leaf.chain[0].clone());
        let expected = proxy::header(proxy, &ends, &handshake).unwrap();
        assert_eq!(received, [&expected[..], b"question"].concat());
    }
}

#[tokio::test]
async fn a_header_from_a_sender_changes_the_visitor_upstream_and_in_the_log_but_not_the_peer() {
    let (lines, _guard) = capture_log();
    for header in [V1, V2] {
        let rig = with_sender(ProxyProtocol::V1).await;
        let (mut peer, _) = pull(&rig, &rig.edge(), header).await.unwrap();
        assert_eq!(line(&rig).await.as_bytes(), V1);
        peer.shutdown().await.unwrap();
        rig.counters_when(|counters| counters.open == 0 && counters.accepted == 1).await;
        assert!(rig.book.0.lock().unwrap().contains(&("127.0.0.1".parse().unwrap(), SITE.into())));
        let line = lines.closing().pop().unwrap();
        assert!(line.contains(" peer=127.0.0.1:"), "{line}");
        assert!(line.contains(" visitor=203.0.113.9:4711 "), "{line}");
    }
}

#[tokio::test]
async fn a_header_without_addresses_leaves_the_addresses_of_the_connection() {
    for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
        let rig = with_sender(ProxyProtocol::V1).await;
        let (_peer, own) = pull(&rig, &rig.edge(), header).await.unwrap();
        let (from, to) = (own.port(), rig.address.port());
        assert_eq!(line(&rig).await, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {to}\r\n"));
    }
}

#[tokio::test]
async fn a_header_may_arrive_byte_by_byte_or_in_one_segment_with_the_client_hello() {
    let rig = with_sender(ProxyProtocol::Off).await;
    for header in [V1, V2] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in header.chunks(1) {
            stream.write_all(byte).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        let mut peer = connect_over(&rig.edge(), stream, SITE).await.unwrap();
        let (mut upstream, _) = rig.upstream.accept().await.unwrap();
        exchange(&mut peer, &mut upstream).await;

        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let hello = client_hello(&rig.edge(), SITE);
        stream.write_all(&[header, &hello].concat()).await.unwrap();
        // A handshake record: the service read the ClientHello from its first byte on.
        assert_eq!(timeout(LONG, stream.read_u8()).await.unwrap().unwrap(), 22);
    }
}

#[tokio::test]
async fn a_named_sender_without_a_valid_header_is_refused_with_the_reason() {
    let (lines, _guard) = capture_log();
    let rig = with_sender(ProxyProtocol::Off).await;
    let hello = client_hello(&rig.edge(), SITE);
    let bent = [&V2[..13], b"\x41", &V2[14..]].concat();
    let sum = [&V2[..14], b"\x00\x13", &V2[16..28], b"\x03\x00\x04\0\0\0\0"].concat();
    for (bytes, why) in [
        (&hello[..], "there is no PROXY header"),
        (b"GET / HTTP/1.1\r\n\r\n", "there is no PROXY header"),
        (b"PROXY TCP4 203.0.113.9\r\n", "the version 1 line is malformed"),
        (&[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(), "the header is too long"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "the header is too long"),
        (&bent, "the address family is unknown"),
        (&sum, "the CRC32C checksum is wrong"),
    ] {
        refused(&rig, bytes).await;
        rig.counters_when(|counters| counters.open == 0).await;
        let line = lines.closing().pop().unwrap();
        assert!(line.contains("outcome=\"proxy_header\"") && line.contains(why), "{line}");
    }
    rig.refusals_counted("-", Refusal::ProxyHeader, 7).await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn a_header_from_an_unnamed_sender_is_refused_in_both_versions() {
    let (lines, _guard) = capture_log();
    let proxy_from = vec!["127.0.0.2/32".parse().unwrap()];
    for rig in [Rig::new().await, Rig::with(RigConfig { proxy_from, ..RigConfig::default() }).await]
    {
        rig.serve(&rig.edge(), SITE).await;
        for header in [V1, V2] {
            assert!(pull(&rig, &rig.edge(), header).await.is_err());
        }
        rig.refusals_counted("-", Refusal::ProxyHeader, 2).await;
        rig.counters_when(|counters| counters.open == 0).await;
        assert!(lines.closing().pop().unwrap().contains("not named in proxy_from"));
        rig.upstream_saw_nothing().await;
    }
}

#[tokio::test]
async fn plain_http_behind_a_header_is_answered_in_http() {
    let rig = with_sender(ProxyProtocol::Off).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(&[V1, b"GET / HTTP/1.1\r\n\r\n"].concat()).await.unwrap();
    let mut answer = String::new();
    timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    rig.refusals_counted("-", Refusal::NotTls, 1).await;
}

#[tokio::test]
async fn a_sender_that_stops_within_a_header_exceeds_the_deadline_or_is_gone() {
    let proxy_from = vec!["127.0.0.1/32".parse().unwrap()];
    let deadline = Duration::from_millis(300);
    let rig = Rig::with(RigConfig { proxy_from, deadline, ..RigConfig::default() }).await;
    refused(&rig, &V2[..20]).await;
    rig.refusals_counted("-", Refusal::Deadline, 1).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(&V1[..20]).await.unwrap();
    drop(stream);
    rig.counters_when(|counters| {
        counters.refused.iter().any(|refused| refused.refusal == Refusal::PeerGone)
    })
    .await;
}

/// A certificate that TLS accepts, but that does not fit into a header beside its common name.
fn huge(rig: &Rig) -> Leaf {
    rig.client_ca.leaf(|params| {
        params.distinguished_name.push(DnType::CommonName, "x".repeat(2000));
        let oid = [1, 3, 6, 1, 4, 1, 32473, 1];
        params.custom_extensions.push(CustomExtension::from_oid_content(&oid, vec![0; 62_000]));
    })
}

#[tokio::test]
async fn a_pull_whose_certificate_fits_into_no_header_is_refused_and_reaches_no_upstream() {
    for scheme in ["tcp", "http"] {
        let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}", application.local_addr().unwrap());
        let proxy = ProxyProtocol::V2(ClientCertForwarding::Shown);
        let rig = Rig::with(RigConfig { proxy, ..RigConfig::upstream(&url) }).await;
        let client = rig.client(Some(&huge(&rig)));
        let mut peer = connect(&client, rig.address, SITE).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n");
        peer.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(LONG, peer.read_to_string(&mut answer)).await.unwrap().unwrap();
        match scheme {
            "tcp" => rig.refusals_counted(SITE, Refusal::ProxyTooLong, 1).await,
            _ => {
                assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
                let only =
                    [DeniedCount { site: SITE.into(), denial: Denial::ProxyTooLong, count: 1 }];
                rig.counters_when(|counters| counters.denied == only).await;
            }
        }
        let seen = timeout(Duration::from_millis(50), application.accept()).await;
        assert!(seen.is_err(), "the upstream was reached");
    }
}
