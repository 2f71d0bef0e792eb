//! A site that explains its refusals answers every refused peer with the reason, and relays none.

use std::sync::Arc;

use aop_config::{CertificateRules, OnRefusal, Resumption};
use aop_tls::{
    Refusal,
    testing::{Leaf, client, connect, long_ago},
};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::SanType;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::AsyncWriteExt;

use super::{
    Application, Rig, RigConfig, SITE,
    application::{Frames, whole},
    client::{Client, to_end},
};

async fn explaining() -> (Rig, Application) {
    explaining_by(CertificateRules::default()).await
}

async fn explaining_by(rules: CertificateRules) -> (Rig, Application) {
    let application = Application::http1().await;
    let config = RigConfig {
        on_refusal: OnRefusal::Explain,
        rules,
        ..RigConfig::upstream(&application.url())
    };
    (Rig::with(config).await, application)
}

/// The response to a peer, and the kind of its handshake.
async fn told(rig: &Rig, config: &Arc<ClientConfig>) -> (String, HandshakeKind) {
    let mut stream = connect(config, rig.address, SITE).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let answer = to_end(&mut stream).await;
    (answer, stream.get_ref().1.handshake_kind().unwrap())
}

fn peer(rig: &Rig, leaf: Option<&Leaf>) -> Arc<ClientConfig> {
    Arc::new(client(&rig.server_ca, leaf, &[&rustls::version::TLS13]))
}

#[tokio::test]
async fn each_wrong_certificate_gets_its_reason_and_reaches_no_upstream() {
    type Wrong = fn(&Rig) -> Option<Leaf>;
    let wrong: [(Wrong, Refusal); 4] = [
        (|_| None, Refusal::CertificateRequired),
        (|rig| Some(rig.other_ca.edge()), Refusal::UnknownCa),
        (|_| Some(Leaf::self_signed()), Refusal::CaAsLeaf),
        (|rig| Some(rig.client_ca.leaf(long_ago)), Refusal::Expired),
    ];
    for (leaf, refusal) in wrong {
        let (rig, application) = explaining().await;
        assert_eq!(Client::http2(&rig).await.get("/").await.unwrap().status(), 200);

        let config = peer(&rig, leaf(&rig).as_ref());
        let mut stream = connect(&config, rig.address, SITE).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
        let answer = to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{refusal}: {answer}");
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!((&json["refused"], &json["site"]), (&refusal.name().into(), &SITE.into()));
        assert!(json["help"].as_str().is_some_and(|help| help.len() > 10), "{json}");
        assert!(json["detail"].is_string(), "{json}");

        rig.refusals_counted(SITE, refusal, 1).await;
        let counters = rig.counters();
        assert_eq!((counters.accepted, counters.identities.len(), counters.relayed), (1, 1, 1));
        assert_eq!((application.asked().len(), application.connections()), (1, 1));
    }
}

#[tokio::test]
async fn an_explanation_describes_the_peer_s_certificate_and_never_an_accepted_one() {
    let secret = "the-one-name.test";
    let pin = aop_config::SpkiPin([0xAB; 32]);
    for (rules, refusal, detail) in [
        (
            CertificateRules { pins: vec![pin], ..CertificateRules::default() },
            Refusal::PinMismatch,
            "the certificate's key is not in spki_pins: ",
        ),
        (
            CertificateRules { cn: Some(secret.into()), ..CertificateRules::default() },
            Refusal::CnMismatch,
            "the certificate's common name is not require_cn: edge",
        ),
        (
            CertificateRules {
                san: vec![format!("dns:{secret}").parse().unwrap()],
                ..CertificateRules::default()
            },
            Refusal::SanMissing,
            "the certificate has no subject alternative name",
        ),
    ] {
        let (rig, _application) = explaining_by(rules).await;
        let (answer, _) = told(&rig, &peer(&rig, Some(&rig.client_ca.edge()))).await;
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let given = json["detail"].as_str().unwrap();
        assert!(given.starts_with(detail), "{refusal}: {given}");
        assert_eq!(json["refused"], refusal.name());
        assert!(!answer.contains(secret) && !answer.contains("abab"), "{answer}");
    }
}

#[tokio::test]
async fn refusals_are_explained_over_http_2_as_well() {
    let (rig, application) = explaining().await;
    let mut config = Arc::unwrap_or_clone(peer(&rig, None));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = connect(&Arc::new(config), rig.address, SITE).await.unwrap();
    let builder = http2::Builder::new(TokioExecutor::new());
    let (mut sender, driver) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let mut driving = tokio::task::JoinSet::new();
    driving.spawn(driver);
    let request = hyper::Request::get("https://example.com/").body(Frames::default()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 403);
    let (body, _) = whole(response.into_body()).await.unwrap();
    assert!(body.starts_with(br#"{"refused":"certificate_required","#));
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn a_certificate_whose_key_cannot_be_read_still_fails_the_handshake() {
    let (rig, application) = explaining().await;
    let config = peer(&rig, Some(&rig.client_ca.version_1()));
    rig.alert(&config, SITE).await;
    rig.refusals_counted(SITE, Refusal::CertificateVersion, 1).await;
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn the_rules_of_the_site_apply_and_a_refused_peer_resumes_no_session() {
    let rules = CertificateRules {
        san: vec!["dns:pull.example.com".parse().unwrap()],
        resumption: Resumption::Verified,
        ..CertificateRules::default()
    };
    let (rig, application) = explaining_by(rules).await;
    let named = rig.client_ca.leaf(|params| {
        params.subject_alt_names = vec![SanType::DnsName("pull.example.com".try_into().unwrap())];
    });
    let good = peer(&rig, Some(&named));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (answer, handshake) = told(&rig, &good).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(handshake, kind);
    }
    let bad = peer(&rig, Some(&rig.client_ca.edge()));
    for _ in 0..2 {
        let (answer, handshake) = told(&rig, &bad).await;
        assert!(answer.contains(r#"{"refused":"san_missing","#), "{answer}");
        assert_eq!(handshake, HandshakeKind::Full);
    }
    rig.refusals_counted(SITE, Refusal::SanMissing, 2).await;
    assert_eq!((rig.counters().accepted, application.asked().len()), (2, 2));
}
