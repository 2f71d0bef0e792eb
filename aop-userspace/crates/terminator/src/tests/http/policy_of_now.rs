//! Requests on connections that an earlier policy accepted.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

use super::{
    super::rig::OTHER_SITE,
    before_http1,
    client::{Client, LONG},
    frames::{END_OF_BOTH, HEADERS, frame, get, opened},
};
use crate::Denial;

/// Reads until `text` has arrived.
async fn until_text(stream: &mut TlsStream<TcpStream>, text: &str) {
    let mut received = Vec::new();
    let arriving = async {
        while !received.windows(text.len()).any(|window| window == text.as_bytes()) {
            assert!(stream.read_buf(&mut received).await.unwrap() > 0, "the end before {text:?}");
        }
    };
    timeout(LONG, arriving).await.unwrap();
}

/// Sends a request on `stream`, without an acknowledgement of the GOAWAY that a drain causes.
async fn ask(peer: &mut TlsStream<TcpStream>, stream: u32, path: &str) {
    peer.write_all(&frame(HEADERS, END_OF_BOTH, stream, &get(path))).await.unwrap();
    peer.flush().await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_no_longer_trusted_is_refused_on_open_connections_too() {
    let (rig, application) = before_http1().await;
    rig.trust(&[&rig.client_ca, &rig.other_ca]);
    rig.service.reload(rig.policy(|_| true), LONG);
    let mut peer = opened(&rig).await;
    // A request that stays open keeps the connection.
    ask(&mut peer, 1, "/never").await;
    while application.asked().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    // The trust in another authority ends: this peer's certificate is as good as before.
    rig.trust(&[&rig.client_ca]);
    rig.service.reload(rig.policy(|_| true), LONG);
    ask(&mut peer, 3, "/first").await;
    until_text(&mut peer, "the application answers /first").await;
    rig.trust(&[&rig.other_ca]);
    rig.service.reload(rig.policy(|_| true), LONG);
    ask(&mut peer, 5, "/second").await;
    until_text(&mut peer, "without the certificate that is right now").await;
    rig.denied(Denial::Unauthenticated, 1).await;
    assert_eq!(application.asked().len(), 2);
}

#[tokio::test]
async fn a_connection_keeps_its_own_site_and_not_the_policy_that_accepted_it() {
    let (rig, _application) = before_http1().await;
    let policy = rig.policy(|_| true);
    let other = policy.sites.find(&OTHER_SITE.parse().unwrap()).unwrap();
    let other = Arc::downgrade(other);
    rig.service.reload(policy, LONG);
    let (mut one, mut two) = (Client::http1(&rig).await, Client::http2(&rig).await);
    one.get("/").await.unwrap();
    two.get("/").await.unwrap();
    assert!(other.upgrade().is_some());
    rig.service.reload(rig.policy(|_| true), LONG);
    let gone = async {
        while other.upgrade().is_some() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, gone).await.expect("nothing holds the sites of the earlier policy");
    one.get("/").await.unwrap();
    two.get("/").await.unwrap();
}
