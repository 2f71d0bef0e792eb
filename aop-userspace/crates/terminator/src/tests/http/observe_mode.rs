//! Requests of unauthenticated peers at a site that observes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aop_common::Mode;
use aop_config::{ClientCertForwarding, OnRefusal};
use aop_tls::{
    Refusal,
    testing::{Leaf, connect, connect_over},
};
use aop_types::AddressVerdict;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use super::{
    Application, Denial, Rig, RigConfig, SITE,
    client::{LONG, to_end, until},
    frames::{END_OF_BOTH, HEADERS, PREFACE, SETTINGS, frame, get},
};

const OTHER: &str = "other.test";

/// The first site observes, forwards certificates, and accepts requests for the other site's host.
async fn observing() -> (Rig, Application) {
    let application = Application::http1().await;
    let config = RigConfig::upstream(&application.url());
    let rig = Rig::with(config.relayed(|http| {
        http.client_cert = ClientCertForwarding::Shown;
        http.also_hosts = vec![OTHER.parse().unwrap(), "third.test".parse().unwrap()];
    }))
    .await;
    observe(&rig, Mode::Observe, LONG);
    (rig, application)
}

fn observe(rig: &Rig, mode: Mode, patience: Duration) {
    rig.service.apply_mode_overrides(&BTreeMap::from([(SITE.to_owned(), mode)]), patience);
}

async fn answer(rig: &Rig, leaf: Option<&Leaf>, host: &str) -> String {
    let mut stream = connect(&rig.client(leaf), rig.address, SITE).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nClient-Cert: :Zm9v:\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    to_end(&mut stream).await
}

#[tokio::test]
async fn client_cert_never_carries_an_unverified_certificate() {
    let (rig, application) = observing().await;
    let bad = rig.other_ca.edge();
    for leaf in [None, Some(&bad)] {
        assert!(answer(&rig, leaf, SITE).await.starts_with("HTTP/1.1 200 "));
    }
    let good = rig.client_ca.edge();
    assert!(answer(&rig, Some(&good), SITE).await.starts_with("HTTP/1.1 200 "));
    let certificates: Vec<usize> =
        application.asked().iter().map(|asked| asked.values("client-cert").len()).collect();
    assert_eq!(certificates, [0, 0, 1]);
    rig.counters_when(|counters| counters.accepted == 1 && counters.observed.len() == 2).await;
    assert_eq!(rig.counters().relayed, 3);
}

#[tokio::test]
async fn an_unauthenticated_peer_may_name_a_visitor_only_from_an_admitted_address() {
    let (rig, application) = observing().await;
    let good = rig.client_ca.edge();
    let (named, own) = ("203.0.113.7", "127.0.0.1");
    for (verdict, leaf, visitor) in [
        (AddressVerdict::Admitted, None, named),
        (AddressVerdict::Observed, None, own),
        (AddressVerdict::Probation, None, own),
        (AddressVerdict::Observed, Some(&good), named),
        (AddressVerdict::Probation, Some(&good), named),
    ] {
        rig.gate.set(verdict);
        let mut stream = connect(&rig.client(leaf), rig.address, SITE).await.unwrap();
        let request = format!("GET /x HTTP/1.1\r\nHost: {SITE}\r\n{}\r\n", speaking_for(named));
        stream.write_all(request.as_bytes()).await.unwrap();
        until(&mut stream, "answers /x").await;
        let asked = application.asked().pop().unwrap();
        assert_eq!(asked.values("x-forwarded-for"), [visitor], "{verdict:?}");
        for name in ["cf-connecting-ip", "true-client-ip", "cf-ipcountry"] {
            assert_eq!(asked.values(name).len(), usize::from(visitor == named), "{name}");
        }
    }
}

#[tokio::test]
async fn behind_a_sender_the_source_in_the_header_must_be_admitted() {
    let application = Application::http1().await;
    let proxy_from = vec!["127.0.0.1/32".parse().unwrap()];
    let on_refusal = OnRefusal::Observe;
    let config = RigConfig { proxy_from, on_refusal, ..RigConfig::upstream(&application.url()) };
    let rig = Rig::with(config).await;
    rig.gate.set(AddressVerdict::Observed);
    for admitted in ["127.0.0.1", "192.0.2.8"] {
        rig.gate.set_for(admitted, AddressVerdict::Admitted);
    }
    for (source, visitor) in [("192.0.2.8", "203.0.113.7"), ("192.0.2.9", "192.0.2.9")] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let header = format!("PROXY TCP4 {source} 192.0.2.1 4711 443\r\n");
        stream.write_all(header.as_bytes()).await.unwrap();
        let mut peer = connect_over(&rig.client(None), stream, SITE).await.unwrap();
        let named = speaking_for("203.0.113.7");
        let request = format!("GET /x HTTP/1.1\r\nHost: {SITE}\r\n{named}\r\n");
        peer.write_all(request.as_bytes()).await.unwrap();
        until(&mut peer, "answers /x").await;
        assert_eq!(application.asked().pop().unwrap().values("x-forwarded-for"), [visitor]);
    }
}

/// The header fields that an edge sets for a visitor.
fn speaking_for(visitor: &str) -> String {
    format!("CF-Connecting-IP: {visitor}\r\nTrue-Client-IP: {visitor}\r\nCF-IPCountry: DE\r\n")
}

#[tokio::test]
async fn also_hosts_gives_an_unauthenticated_peer_no_host_of_another_site() {
    let (rig, application) = observing().await;
    let good = rig.client_ca.edge();
    for (leaf, host, status) in [
        (Some(&good), OTHER, "200"),
        (None, OTHER, "421"),
        (None, "third.test", "200"),
        (None, "unknown.test", "421"),
    ] {
        let response = answer(&rig, leaf, host).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {response}");
    }
    assert_eq!(application.asked().len(), 2);
}

#[tokio::test]
async fn the_next_request_of_an_open_connection_is_refused_once_the_site_enforces() {
    let (rig, application) = observing().await;
    let mut config = Arc::unwrap_or_clone(rig.client(None));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut stream = connect(&Arc::new(config), rig.address, SITE).await.unwrap();
    let ask = |stream: u32, path: &str| frame(HEADERS, END_OF_BOTH, stream, &get(path));
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &ask(1, "/never")].concat();
    stream.write_all(&opening).await.unwrap();
    rig.counters_when(|counters| counters.observed.len() == 1).await;
    while application.asked().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    observe(&rig, Mode::Enforce, LONG);
    // A peer that has not received the GOAWAY yet may open a stream, which must be answered.
    stream.write_all(&ask(3, "/late")).await.unwrap();
    rig.denied(Denial::Unauthenticated, 1).await;
    assert_eq!(application.asked().len(), 1);
}

#[tokio::test]
async fn a_handshake_that_completes_after_the_site_enforces_is_refused() {
    let (rig, application) = observing().await;
    let begun = TcpStream::connect(rig.address).await.unwrap();
    rig.counters_when(|counters| counters.open == 1).await;
    observe(&rig, Mode::Enforce, LONG);
    let mut stream = connect_over(&rig.client(None), begun, SITE).await.unwrap();
    assert_eq!(to_end(&mut stream).await, "");
    rig.refusals_counted(SITE, Refusal::CertificateRequired, 1).await;
    assert_eq!((rig.counters().observed.len(), application.connections()), (0, 0));
}
