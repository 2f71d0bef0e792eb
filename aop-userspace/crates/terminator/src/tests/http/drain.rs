//! Connections that aop ends: a drain, and withdrawn trust.

use std::time::Duration;

use aop_config::UpstreamAddress;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::{
    Application, Rig, RigConfig, SITE,
    application::whole,
    before_http1,
    client::{Client, LONG, edge, to_end, until},
};
use crate::Drained;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[tokio::test]
async fn a_drain_ends_idle_connections_and_lets_requests_finish() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let rig = Rig::with(RigConfig::upstream(&url)).await;
    let mut upstreams = Vec::new();
    let mut resting = edge(&rig, &["http/1.1"], SITE).await;
    let mut asking = edge(&rig, &["http/1.1"], SITE).await;
    asking.write_all(ASK).await.unwrap();
    upstreams.push(timeout(LONG, listener.accept()).await.unwrap().unwrap().0);
    let mut multiplexed = Client::http2(&rig).await;
    let mut get = Box::pin(multiplexed.get("/"));
    let accept = async { timeout(LONG, listener.accept()).await.unwrap().unwrap().0 };
    tokio::select! {
        _ = &mut get => panic!("a response before the upstream sent one"),
        upstream = accept => upstreams.push(upstream),
    }
    rig.counters_when(|counters| counters.open == 3).await;

    let mut draining = std::pin::pin!(rig.service.drain(LONG));
    assert!(timeout(Duration::from_millis(200), &mut draining).await.is_err(), "two are busy");
    for upstream in &mut upstreams {
        assert!(upstream.read(&mut [0; 4096]).await.unwrap() > 0);
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
    }
    let finishing = async move {
        assert_eq!(to_end(&mut resting).await, "");
        let answer = to_end(&mut asking).await;
        assert!(answer.ends_with("done") && answer.contains("connection: close\r\n"), "{answer}");
        let (body, _) = whole(get.await.unwrap().into_body()).await.unwrap();
        assert_eq!(body, b"done");
    };
    let (drained, ()) = tokio::join!(draining, finishing);
    assert_eq!(drained, Drained::Complete);
    assert!(multiplexed.connection.join_next().await.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn a_request_that_is_on_its_way_when_a_drain_begins_is_served() {
    let (rig, application) = before_http1().await;
    let mut one = edge(&rig, &["http/1.1"], SITE).await;
    one.write_all(ASK).await.unwrap();
    until(&mut one, "answers /").await;
    let mut two = Client::http2(&rig).await;
    two.get("/").await.unwrap();
    // The peers do not know of the drain when they send these.
    rig.service.reload(rig.policy(|site| site.name == SITE), LONG);
    one.write_all(b"POST /late HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    let answer = to_end(&mut one).await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("answers /late"), "{answer}");
    assert!(timeout(LONG, two.connection.join_next()).await.unwrap().unwrap().unwrap().is_ok());
    assert_eq!(application.asked().len(), 3);
}

#[tokio::test]
async fn a_drain_cuts_requests_that_exceed_its_deadline() {
    let (rig, application) = before_http1().await;
    let mut one = edge(&rig, &["http/1.1"], SITE).await;
    one.write_all(b"GET /never HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    let mut two = Client::http2(&rig).await;
    let mut never = std::pin::pin!(two.get("/never"));
    timeout(Duration::from_millis(300), &mut never).await.unwrap_err();
    assert_eq!(application.asked().len(), 2);
    let drained = timeout(LONG, rig.service.drain(Duration::from_millis(100))).await.unwrap();
    assert_eq!(drained, Drained::Cut(2));
    assert_eq!(to_end(&mut one).await, "");
}

#[tokio::test]
async fn after_a_reload_the_next_request_of_an_open_connection_goes_to_the_new_upstream() {
    let (mut rig, before) = before_http1().await;
    let after = Application::http1().await;
    let (mut one, mut two) = (Client::http1(&rig).await, Client::http2(&rig).await);
    one.get("/").await.unwrap();
    two.get("/").await.unwrap();
    let address = UpstreamAddress::Tcp(after.address.to_string());
    rig.change_http(|http| http.upstream.address = address.clone());
    rig.service.reload(rig.policy(|_| true), LONG);
    one.get("/new").await.unwrap();
    two.get("/new").await.unwrap();
    assert_eq!((before.asked().len(), after.asked().len()), (2, 2));
}

#[tokio::test]
async fn withdrawn_trust_ends_connections_in_order() {
    let (rig, application) = before_http1().await;
    let mut one = edge(&rig, &["http/1.1"], SITE).await;
    one.write_all(ASK).await.unwrap();
    until(&mut one, "answers /").await;
    let mut two = Client::http2(&rig).await;
    two.get("/").await.unwrap();
    rig.service.reload(rig.policy(|site| site.name != SITE), LONG);
    assert_eq!(to_end(&mut one).await, "");
    assert!(timeout(LONG, two.connection.join_next()).await.unwrap().unwrap().unwrap().is_ok());
    assert_eq!(application.asked().len(), 2);
}
