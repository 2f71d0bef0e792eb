//! The server name in the ClientHello selects the site; without a site the connection is refused.

use std::sync::Arc;

use aop_tls::{Refusal, testing::client_hello};
use rustls::AlertDescription as Alert;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::rig::{Rig, SITE};

const HANDSHAKE: u8 = 22;
const MISSING_EXTENSION: [u8; 7] = [21, 3, 3, 0, 2, 2, 109];
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
const ILLEGAL_PARAMETER: [u8; 7] = [21, 3, 3, 0, 2, 2, 47];

/// The first bytes of the answer to a ClientHello with `name` as its server name.
async fn answer(rig: &Rig, name: &[u8]) -> [u8; 7] {
    assert_eq!(name.len(), SITE.len());
    let mut hello = client_hello(&rig.edge(), SITE);
    let at = hello.windows(SITE.len()).position(|window| window == SITE.as_bytes()).unwrap();
    hello[at..at + SITE.len()].copy_from_slice(name);
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_unknown_name_is_refused() {
    let rig = Rig::new().await;
    let leaf = rig.client_ca.edge();
    rig.refuses(Some(&leaf), "unknown.test", Refusal::UnknownName, Alert::UnrecognisedName).await;
}

#[tokio::test]
async fn a_missing_name_is_refused() {
    let rig = Rig::new().await;
    rig.serve(&rig.edge(), SITE).await;
    let mut client = Arc::unwrap_or_clone(rig.edge());
    client.enable_sni = false;
    assert_eq!(rig.alert(&Arc::new(client), SITE).await, Alert::MissingExtension);
    rig.refusals_counted("-", Refusal::NoName, 1).await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn an_address_or_garbage_is_no_server_name() {
    let rig = Rig::new().await;
    assert_eq!(answer(&rig, SITE.as_bytes()).await[0], HANDSHAKE);
    assert_eq!(answer(&rig, b"192.0.2.111").await, MISSING_EXTENSION);
    assert_eq!(answer(&rig, b"2001:db8::1").await, MISSING_EXTENSION);
    for garbage in [b"exam\x1b[1.com", b"exam\nle.com", b"-xample.com", b"exam..e.com"] {
        let answer = answer(&rig, garbage).await;
        assert!([ILLEGAL_PARAMETER, UNRECOGNIZED_NAME].contains(&answer), "{answer:?}");
    }
    rig.counters_when(|counters| {
        counters.refused.iter().any(|r| r.refusal == Refusal::NoName && r.count == 6)
    })
    .await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn case_and_a_trailing_dot_do_not_matter_in_a_server_name() {
    let rig = Rig::new().await;
    assert_eq!(answer(&rig, b"EXAMPLE.COM").await[0], HANDSHAKE);
    assert_eq!(answer(&rig, b"xample.com.").await[0], HANDSHAKE);
}

#[tokio::test]
async fn a_wildcard_covers_exactly_one_label() {
    let rig = Rig::new().await;
    rig.serve(&rig.edge(), "www.example.com").await;
    assert_eq!(rig.alert(&rig.edge(), "a.b.example.com").await, Alert::UnrecognisedName);
    rig.refusals_counted("-", Refusal::UnknownName, 1).await;
}
