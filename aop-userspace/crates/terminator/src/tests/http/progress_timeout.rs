//! The progress timeout of responses.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};

use super::{
    Application, Denial, Rig, RigConfig, SITE,
    application::whole,
    client::{Client, LONG, edge, request_to, to_end, until},
    frames::{END_OF_BOTH, HEADERS, RST_STREAM, frame, get, opened, parsed},
};

const STALL: Duration = Duration::from_millis(900);

async fn before(url: &str) -> Rig {
    Rig::with(RigConfig::upstream(url).relayed(|http| http.stall = STALL)).await
}

#[tokio::test]
async fn a_response_that_the_upstream_stops_sending_is_aborted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = before(&format!("http://{}", listener.local_addr().unwrap())).await;
    let part = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart";
    let mut one = edge(&rig, &[], SITE).await;
    one.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    let mut upstream = request_to(&listener).await;
    upstream.write_all(part).await.unwrap();
    until(&mut one, "part").await;
    assert_eq!(to_end(&mut one).await, "");
    upstream.read_to_end(&mut Vec::new()).await.ok();
    rig.denied(Denial::Stalled, 1).await;

    // In HTTP/2 the stream ends, and the connection stays open.
    let mut two = Client::http2(&rig).await;
    let mut twin = two.twin();
    let (response, mut upstream) = tokio::join!(two.get("/"), async {
        let mut upstream = request_to(&listener).await;
        upstream.write_all(part).await.unwrap();
        upstream
    });
    assert!(timeout(LONG, whole(response.unwrap().into_body())).await.unwrap().is_err());
    upstream.read_to_end(&mut Vec::new()).await.ok();
    rig.denied(Denial::Stalled, 2).await;
    let (response, _) = tokio::join!(twin.get("/"), async {
        let mut upstream = request_to(&listener).await;
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        upstream
    });
    assert_eq!(whole(response.unwrap().into_body()).await.unwrap().0, b"ok");
}

#[tokio::test]
async fn a_peer_that_stops_reading_loses_its_request_slot() {
    for application in [Application::http1().await, Application::h2c().await] {
        let config = RigConfig::upstream(&application.url()).relayed(|http| {
            (http.stall, http.requests) = (STALL, 2);
        });
        let rig = Rig::with(config).await;
        let mut one = edge(&rig, &[], SITE).await;
        one.write_all(b"GET /large HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
        let mut two = opened(&rig).await;
        two.write_all(&frame(HEADERS, END_OF_BOTH, 1, &get("/large"))).await.unwrap();
        while application.asked().len() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
        let mut other = Client::http1(&rig).await;
        assert_eq!(other.get("/").await.unwrap().status(), 503);
        let stalled = |counters: &crate::CountersSnapshot| {
            counters.denied.iter().any(|d| (d.denial, d.count) == (Denial::Stalled, 2))
        };
        rig.counters_when(stalled).await;
        let answer = other.get("/").await.unwrap();
        assert_eq!(whole(answer.into_body()).await.unwrap().0, b"the application answers /");
        assert!(
            !to_end(&mut one).await.ends_with("0\r\n\r\n"),
            "a truncated response looks complete"
        );
        let mut received = vec![0; 1 << 20];
        let mut filled = 0;
        while !parsed(&received[..filled]).iter().any(|(kind, _)| *kind == RST_STREAM) {
            filled += timeout(LONG, two.read(&mut received[filled..])).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_slow_response_with_progress_does_not_stall() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = before(&format!("http://{}", listener.local_addr().unwrap())).await;
    for alpn in ["http/1.1", "h2"] {
        let mut client = match alpn {
            "h2" => Client::http2(&rig).await,
            _ => Client::http1(&rig).await,
        };
        let (response, mut upstream) = tokio::join!(client.get("/"), async {
            let mut upstream = request_to(&listener).await;
            upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n").await.unwrap();
            upstream
        });
        let dripping = async {
            for _ in 0..6 {
                sleep(STALL * 2 / 3).await;
                upstream.write_all(b"x").await.unwrap();
            }
        };
        let (answer, ()) = tokio::join!(whole(response.unwrap().into_body()), dripping);
        assert_eq!(answer.unwrap().0, b"xxxxxx", "{alpn}");
    }
    assert!(rig.counters().denied.is_empty(), "{:?}", rig.counters());
}

#[tokio::test]
async fn a_tunnel_may_be_idle() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = before(&format!("http://{}", listener.local_addr().unwrap())).await;
    let mut peer = edge(&rig, &["http/1.1"], SITE).await;
    let asked = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\n\r\n";
    peer.write_all(asked.as_bytes()).await.unwrap();
    let mut upstream = request_to(&listener).await;
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\n\r\n";
    upstream.write_all(switched.as_bytes()).await.unwrap();
    until(&mut peer, "\r\n\r\n").await;
    sleep(STALL * 2).await;
    upstream.write_all(b"late").await.unwrap();
    until(&mut peer, "late").await;
    assert!(rig.counters().denied.is_empty(), "{:?}", rig.counters());
}
