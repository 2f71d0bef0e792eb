//! A site that explains its refusals tells everybody why, and lets nobody through for it.

use std::sync::Arc;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::io::AsyncWriteExt;

use super::{
    Application, Rig, SITE, Wish,
    application::{Frames, whole},
    client::{Client, to_end},
};
use crate::{
    config::OnRefusal,
    tls::{
        Refusal,
        testing::{Leaf, client, connect, long_ago},
    },
};

async fn explaining() -> (Rig, Application) {
    let application = Application::http1().await;
    let wish = Wish { on_refusal: OnRefusal::Explain, ..Wish::upstream(&application.url()) };
    (Rig::with(wish).await, application)
}

fn peer(rig: &Rig, leaf: Option<&Leaf>) -> Arc<ClientConfig> {
    Arc::new(client(&rig.server_ca, leaf, &[&rustls::version::TLS13]))
}

#[tokio::test]
async fn each_wrong_certificate_is_told_why_and_reaches_nothing() {
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

        rig.booked(SITE, refusal, 1).await;
        let ledger = rig.ledger();
        assert_eq!((ledger.accepted, ledger.identities.len(), ledger.relayed), (1, 1, 1));
        assert_eq!((application.asked().len(), application.connections()), (1, 1));
    }
}

#[tokio::test]
async fn it_is_told_over_http_2_as_well() {
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
async fn a_certificate_whose_key_cannot_be_read_fails_the_handshake_as_ever() {
    let (rig, application) = explaining().await;
    let config = peer(&rig, Some(&rig.client_ca.version_1()));
    rig.alert(&config, SITE).await;
    rig.booked(SITE, Refusal::CertificateVersion, 1).await;
    assert_eq!(application.connections(), 0);
}
