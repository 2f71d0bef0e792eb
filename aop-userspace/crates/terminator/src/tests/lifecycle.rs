//! Addresses, connection slots, reload and drain.

use std::{io, time::Duration};

use aop_config::{Limits, UpstreamAddress};
use aop_listeners::{Listener, bind, listen};
use aop_tls::{
    Refusal,
    testing::{connect, connect_over},
};
use aop_types::AddressVerdict;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::rig::{Rig, RigConfig, SITE, exchange};
use crate::{
    Drained,
    upstream::{UpstreamStream, connect as connect_upstream},
};

const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_authenticated_peer_is_recorded() {
    let rig = Rig::new().await;
    rig.alert(&rig.client(None), SITE).await;
    assert!(rig.book.0.lock().unwrap().is_empty());
    rig.serve(&rig.edge(), SITE).await;
    assert!(rig.book.0.lock().unwrap().contains(&("127.0.0.1".parse().unwrap(), SITE.into())));
    let counters = rig.counters();
    let [seen] = &counters.identities[..] else { panic!("{counters:?}") };
    assert_eq!((&*seen.site, seen.pulls), (SITE, 1));
    assert_eq!(seen.identity.subject, r#"CN=edge, O="Acme, \"Quoted\" Inc.""#);
    assert!(seen.identity.issuer.starts_with("CN=client CA, O="), "{seen:?}");
    assert_eq!(seen.identity.spki_sha256.len(), 64);
}

#[tokio::test]
async fn an_address_that_is_not_admitted_is_closed_before_tls() {
    let rig = Rig::new().await;
    rig.serve(&rig.edge(), SITE).await;
    rig.gate.set(AddressVerdict::Refused);
    assert!(connect(&rig.edge(), rig.address, SITE).await.is_err());
    rig.refusals_counted("-", Refusal::NotAdmitted, 1).await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn an_address_that_is_watched_is_counted_and_served() {
    let rig = Rig::new().await;
    rig.serve(&rig.edge(), SITE).await;
    rig.gate.set(AddressVerdict::Observed);
    rig.serve(&rig.edge(), SITE).await;
    let counters = rig.counters();
    assert_eq!((counters.accepted, counters.would_refuse, counters.refused), (2, 1, vec![]));
}

#[tokio::test]
async fn without_a_free_slot_a_connection_waits_and_open_ones_are_not_affected() {
    let rig = Rig::with(RigConfig {
        limits: Limits { connections: 1, handshakes: 9, per_peer: 9, workers: Some(2) },
        ..RigConfig::default()
    })
    .await;
    let (mut peer, mut upstream) = rig.pull().await;
    let edge = rig.edge();
    let mut second = std::pin::pin!(rig.pull_as(&edge, SITE));
    assert!(timeout(Duration::from_millis(200), &mut second).await.is_err(), "there is one slot");
    assert_eq!(rig.counters().open, 1);
    exchange(&mut peer, &mut upstream).await;
    drop((peer, upstream));
    let (mut peer, mut upstream) = timeout(LONG, second).await.unwrap().unwrap();
    exchange(&mut peer, &mut upstream).await;
}

#[tokio::test]
async fn a_reload_applies_to_open_handshakes_and_not_to_relayed_connections() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    let begun = TcpStream::connect(rig.address).await.unwrap();
    let kept = TcpStream::connect(rig.address).await.unwrap();
    rig.counters_when(|counters| counters.open == 3).await;
    rig.book.0.lock().unwrap().clear();
    rig.service.reload(rig.policy(|site| site.name != SITE), LONG);
    rig.alert(&rig.edge(), SITE).await;
    rig.refusals_counted("-", Refusal::UnknownName, 1).await;
    exchange(&mut peer, &mut upstream).await;
    // It was accepted under the trust that the reload withdrew.
    if let Ok(mut peer) = connect_over(&rig.edge(), begun, SITE).await {
        let read = timeout(LONG, peer.read(&mut [0])).await.expect("it is cut");
        assert_eq!(read.unwrap_or(0), 0);
    }
    rig.upstream_saw_nothing().await;
    assert!(rig.book.0.lock().unwrap().is_empty(), "it is recorded");
    rig.service.reload(rig.policy(|_| true), LONG);
    rig.serve(&rig.edge(), SITE).await;
    // A policy that trusts as much serves those that an earlier one accepted.
    let mut peer = connect_over(&rig.edge(), kept, SITE).await.unwrap();
    let (mut upstream, _) = rig.upstream.accept().await.unwrap();
    exchange(&mut peer, &mut upstream).await;
}

#[tokio::test]
async fn a_reload_cuts_open_connections_only_if_it_withdraws_trust() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    rig.service.reload(rig.policy(|_| true), Duration::ZERO);
    exchange(&mut peer, &mut upstream).await;
    // Two policies later the connection still rests on the trust of the first one.
    rig.service.reload(rig.policy(|site| site.name != SITE), Duration::ZERO);
    let mut rest = Vec::new();
    timeout(LONG, peer.read_to_end(&mut rest)).await.expect("it is cut").unwrap_or_default();
    rig.counters_when(|counters| counters.open == 0).await;
}

#[tokio::test]
async fn without_a_site_no_peer_is_served() {
    let rig = Rig::new().await;
    rig.serve(&rig.edge(), SITE).await;
    rig.service.reload(rig.policy(|_| false), LONG);
    rig.alert(&rig.edge(), SITE).await;
    rig.refusals_counted("-", Refusal::UnknownName, 1).await;
}

#[tokio::test]
async fn a_drain_refuses_new_connections_and_lets_open_ones_finish() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    let meanwhile = async {
        let refused = async {
            while TcpStream::connect(rig.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, refused).await.expect("the service stops listening at once");
        exchange(&mut peer, &mut upstream).await;
        peer.shutdown().await.unwrap();
        drop(upstream);
    };
    let (drained, ()) = tokio::join!(rig.service.drain(LONG), meanwhile);
    assert_eq!(drained, Drained::Complete);
}

#[tokio::test]
async fn a_drain_does_not_extend_the_deadline_after_withdrawn_trust() {
    let rig = Rig::new().await;
    let (mut peer, _upstream) = rig.pull().await;
    rig.service.reload(rig.policy(|site| site.name != SITE), Duration::from_millis(200));
    // A drain may be started again, as for a shorter patience, and keeps the earlier deadline.
    assert!(timeout(Duration::from_millis(20), rig.service.drain(LONG)).await.is_err());
    let drained = timeout(LONG, rig.service.drain(2 * LONG)).await.expect("in time");
    assert_eq!(drained, Drained::Complete);
    peer.read_to_end(&mut Vec::new()).await.expect_err("it was cut");
}

#[tokio::test]
async fn a_drain_cuts_connections_that_exceed_its_deadline() {
    let rig = Rig::new().await;
    let (mut peer, mut upstream) = rig.pull().await;
    let silent = TcpStream::connect(rig.address).await.unwrap();
    rig.counters_when(|counters| counters.open == 2).await;
    exchange(&mut peer, &mut upstream).await;
    let drained = timeout(LONG, rig.service.drain(Duration::from_millis(100))).await.unwrap();
    assert_eq!(drained, Drained::Cut(2));
    assert_eq!(rig.counters().open, 0);
    let end = upstream.read(&mut [0]).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    let end = peer.read(&mut [0]).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    drop(silent);
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_the_command_that_shows_its_owner() {
    let taken = listen(bind(&["127.0.0.1:0".parse().unwrap()]).unwrap()).unwrap();
    let address = taken[0].local_addr().unwrap();
    let error = bind(&["127.0.0.1:0".parse().unwrap(), address]).unwrap_err();
    assert_eq!(error.address, address);
    let port = address.port();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{text}");
    assert!(text.contains(&format!("`ss -ltnp 'sport = :{port}'`")), "{text}");
}

#[tokio::test]
async fn ipv4_and_ipv6_share_a_port_and_sockets_on_both_sides_have_keepalive() {
    let one = |address: &str| {
        let listening = listen(bind(&[address.parse().unwrap()]).unwrap()).unwrap();
        Listener::adopt(listening.into_iter().next().unwrap()).unwrap()
    };
    let v4 = one("0.0.0.0:0");
    let port = v4.address().port();
    let v6 = one(&format!("[::]:{port}"));
    for (listener, host) in [(v4, "127.0.0.1"), (v6, "::1")] {
        let listening = listener.register().unwrap();
        let _peer = TcpStream::connect((host, port)).await.unwrap();
        let (accepted, _) =
            std::future::poll_fn(|context| listening.poll_accept(context)).await.unwrap();
        assert!(accepted.nodelay().unwrap());
        let socket = socket2::SockRef::from(&accepted);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    }
    let listening = listen(bind(&["127.0.0.1:0".parse().unwrap()]).unwrap()).unwrap();
    let address = UpstreamAddress::Tcp(listening[0].local_addr().unwrap().to_string());
    let UpstreamStream::Tcp(upstream) = connect_upstream(&address).await.unwrap() else {
        panic!("not TCP")
    };
    let socket = socket2::SockRef::from(&upstream);
    assert!(socket.keepalive().unwrap() && upstream.nodelay().unwrap());
}
