//! The responses to the peer when the upstream fails, and the timeouts.

use std::time::Duration;

use aop_config::HttpConfig;
use hyper::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::{
    super::log::capture_log,
    Application, Denial, Rig, RigConfig, SITE,
    application::{Frames, whole},
    client::{Client, LONG, edge, request_to, to_end, until},
};
use crate::Drained;

const SECOND: Duration = Duration::from_secs(1);

async fn before(url: &str, change: impl FnOnce(&mut HttpConfig)) -> Rig {
    Rig::with(RigConfig::upstream(url).relayed(change)).await
}

/// A client of either version gets `status`, with a text that reveals nothing about the upstream.
async fn answered(rig: &Rig, status: u16, denial: Denial) {
    for mut client in [Client::http1(rig).await, Client::http2(rig).await] {
        let response = client.get("/").await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        let (body, _) = whole(response.into_body()).await.unwrap();
        let text = String::from_utf8(body).unwrap();
        assert!(text.ends_with(".\n") && !text.contains("127.0.0.1"), "{text}");
    }
    rig.denied(denial, 2).await;
}

#[tokio::test]
async fn a_refused_connection_is_a_502() {
    for scheme in ["http", "h2c"] {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let rig = before(&format!("{scheme}://{nobody}"), |_| {}).await;
        answered(&rig, 502, Denial::UpstreamUnreachable).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_502() {
    for scheme in ["http", "h2c"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut talking = tokio::task::JoinSet::new();
        talking.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await.ok();
                while stream.read(&mut [0; 1000]).await.is_ok_and(|read| read > 0) {}
            }
        });
        let rig = before(&format!("{scheme}://{address}"), |_| {}).await;
        answered(&rig, 502, Denial::UpstreamBroken).await;
    }
}

#[tokio::test]
async fn a_silent_upstream_is_a_504() {
    for application in [Application::http1().await, Application::h2c().await] {
        let rig = before(&application.url(), |http| {
            http.answer = Duration::from_millis(300);
        })
        .await;
        let mut client = Client::http1(&rig).await;
        assert_eq!(client.get("/never").await.unwrap().status(), 504);
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        rig.denied(Denial::UpstreamLate, 1).await;
    }
}

#[tokio::test]
async fn the_log_line_of_a_refused_request_has_the_ray_of_that_request() {
    let application = Application::http1().await;
    let (lines, _guard) = capture_log();
    let rig = before(&application.url(), |http| http.answer = SECOND).await;
    let mut client = Client::http2(&rig).await;
    let request = |client: &Client, path, ray| {
        let request = client.request("GET", path).header("cf-ray", ray);
        request.body(Frames::default()).unwrap()
    };
    let mut other = client.twin();
    let (first, second) =
        (request(&client, "/never", "first-FRA"), request(&client, "/", "second-FRA"));
    let (late, answered) = tokio::join!(client.send(first), other.send(second));
    assert_eq!((late.unwrap().status().as_u16(), answered.unwrap().status().as_u16()), (504, 200));
    let logged = lines.with("request refused");
    assert!(logged.len() == 1 && logged[0].contains("first-FRA"), "{logged:?}");
}

#[tokio::test]
async fn a_flood_of_refused_requests_does_not_flood_the_log() {
    let application = Application::http1().await;
    let (lines, _guard) = capture_log();
    let rig = before(&application.url(), |_| {}).await;
    let mut client = Client::http2(&rig).await;
    for _ in 0..200 {
        let request = Request::get("https://other.test/").body(Frames::default()).unwrap();
        assert_eq!(client.send(request).await.unwrap().status(), 421);
    }
    rig.denied(Denial::HostMismatch, 200).await;
    let logged = lines.with("request refused");
    assert!((50..150).contains(&logged.len()), "{}", logged.len());
    assert!(
        logged[0].contains("host=\"other.test\"") && logged[0].contains("also_hosts"),
        "{}",
        logged[0]
    );
    assert_eq!(rig.service.drain(SECOND / 10).await, Drained::Complete);
    assert!(!lines.with("more requests refused for host_mismatch").is_empty());
}

#[tokio::test]
async fn an_upload_with_progress_may_take_longer_than_the_response_timeout() {
    let application = Application::http1().await;
    let rig = before(&application.url(), |http| {
        http.answer = Duration::from_millis(400);
    })
    .await;
    let mut peer = edge(&rig, &[], SITE).await;
    let head = "POST /echo HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n";
    peer.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        peer.write_all(b"x").await.unwrap();
    }
    let answer = until(&mut peer, "xxxxxxxxxx").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_upstream_gets_no_request_beyond_its_bound() {
    let application = Application::http1().await;
    let rig = before(&application.url(), |http| http.requests = 1).await;
    let mut first = edge(&rig, &[], SITE).await;
    first.write_all(b"GET /never HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    while application.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    answered(&rig, 503, Denial::UpstreamBusy).await;
    drop(first);
    rig.counters_when(|counters| counters.open == 0).await;
    assert_eq!(Client::http1(&rig).await.get("/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_truncated_response_does_not_look_complete_to_the_peer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = before(&format!("http://{}", listener.local_addr().unwrap()), |_| {}).await;
    let mut peer = edge(&rig, &[], SITE).await;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    let mut upstream = request_to(&listener).await;
    upstream
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart")
        .await
        .unwrap();
    until(&mut peer, "part").await;
    drop(upstream);
    assert!(!to_end(&mut peer).await.contains("0\r\n\r\n"), "a truncated response looks complete");
}

#[tokio::test]
async fn no_request_is_lost_when_the_upstream_closed_an_idle_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = before(&format!("http://{}", listener.local_addr().unwrap()), |_| {}).await;
    let mut closing = tokio::task::JoinSet::new();
    // The upstream closes each connection after one request, without announcing it.
    closing.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.ok();
        }
    });
    let mut client = Client::http1(&rig).await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_upload_stops_when_the_application_stops_reading() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = before(&format!("http://{}", listener.local_addr().unwrap()), |_| {}).await;
    let mut peer = edge(&rig, &[], SITE).await;
    let head = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000000\r\n\r\n";
    peer.write_all(head.as_bytes()).await.unwrap();
    let (_upstream, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
    let mut sent = 0;
    let chunk = vec![0; 64 * 1024];
    while let Ok(written) = timeout(SECOND, peer.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent < 100_000_000, "a body is being buffered");
    }
}

#[tokio::test]
async fn a_connection_whose_idle_time_expires_is_closed_in_order() {
    let application = Application::http1().await;
    let rig = before(&application.url(), |http| http.idle = SECOND).await;
    let mut one = edge(&rig, &["http/1.1"], SITE).await;
    one.write_all(b"GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    until(&mut one, "/a").await;
    let mut two = Client::http2(&rig).await;
    assert_eq!(two.get("/").await.unwrap().status(), 200);
    assert_eq!(to_end(&mut one).await, "");
    assert!(timeout(LONG, two.connection.join_next()).await.unwrap().unwrap().unwrap().is_ok());
    rig.counters_when(|counters| counters.open == 0).await;
}

#[tokio::test]
async fn a_lost_peer_ends_its_request() {
    let application = Application::http1().await;
    let rig = before(&application.url(), |_| {}).await;
    let mut peer = Client::http2(&rig).await;
    let request = Request::get("https://example.com/never").body(Frames::default()).unwrap();
    assert!(timeout(SECOND / 5, peer.send(request)).await.is_err());
    assert_eq!(application.asked().len(), 1);
    drop(peer);
    rig.counters_when(|counters| counters.open == 0).await;
}
