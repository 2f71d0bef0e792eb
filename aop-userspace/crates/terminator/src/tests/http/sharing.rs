//! Requests that share a connection do not affect each other.

use std::time::Duration;

use hyper::body::{Bytes, Frame};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::{
    Denial, Rig, RigConfig,
    application::{Frames, whole},
    before_h2c, before_http1,
    client::{Client, LONG},
    frames::{END_OF_BOTH, HEADERS, SETTINGS, frame, get, opened},
};
use crate::Drained;

#[tokio::test]
async fn peers_that_stop_reading_do_not_delay_others() {
    let (rig, application) = before_h2c().await;
    let mut asking = Vec::new();
    for number in 1..=8 {
        let mut stream = opened(&rig).await;
        // Only with the initial windows of HTTP/2.
        stream.write_all(&frame(HEADERS, END_OF_BOTH, 1, &get("/large"))).await.unwrap();
        asking.push(stream);
        while application.asked().len() < number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // By then the windows of their upstream connections are used up.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut others = [Client::http1(&rig).await, Client::http1(&rig).await];
    for other in &mut others {
        let answer = timeout(LONG, whole(other.get("/").await.unwrap().into_body())).await;
        assert_eq!(answer.expect("a body in time").unwrap().0, b"the application answers /");
    }
}

#[tokio::test]
async fn uploads_that_the_application_does_not_read_do_not_block_others_of_the_same_peer() {
    let (rig, _application) = before_http1().await;
    let mut client = Client::http2(&rig).await;
    let part = Bytes::from(vec![b'x'; 64 * 1024]);
    let mut uploading = JoinSet::new();
    for _ in 0..5 {
        let body = Frames::of((0..512).map(|_| Frame::data(part.clone())));
        let request = client.request("POST", "/stall").body(body).unwrap();
        let mut twin = client.twin();
        uploading.spawn(async move { drop(twin.send(request).await) });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let request = client.request("POST", "/echo").body(Frames::text("small")).unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), 200);
}

/// An address that neither accepts nor refuses connections while the other values live.
async fn deaf() -> (std::net::SocketAddr, Socket, Vec<TcpStream>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
    }
    (address, listener, queued)
}

#[tokio::test]
async fn each_request_waits_for_the_shared_connection_only_once() {
    let (address, _listener, _queued) = deaf().await;
    let deadline = Duration::from_secs(2);
    let config = RigConfig { deadline, ..RigConfig::upstream(&format!("h2c://{address}")) };
    let rig = Rig::with(config).await;
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let mut client = Client::http1(&rig).await;
        asking.spawn(async move { client.get("/").await.unwrap().status() });
    }
    let all = timeout(3 * deadline, asking.join_all()).await.expect("all are answered");
    assert!(all.iter().all(|status| *status == 504), "{all:?}");
    rig.denied(Denial::UpstreamLate, 8).await;
}

#[tokio::test]
async fn a_shared_connection_whose_upstream_stops_reading_does_not_delay_a_drain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig =
        Rig::with(RigConfig::upstream(&format!("h2c://{}", listener.local_addr().unwrap()))).await;
    let mut client = Client::http1(&rig).await;
    let part = Bytes::from(vec![b'x'; 64 * 1024]);
    let body = Frames::of((0..1024).map(|_| Frame::data(part.clone())));
    let request = client.request("POST", "/").body(body).unwrap();
    let upstream = async {
        let (mut upstream, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
        // The upstream opens the largest windows, then stops reading.
        let most = 0x7fff_ffff_u32.to_be_bytes();
        let window = [&[0, 4][..], &most].concat();
        let update = (0x7fff_ffff - 65_535_u32).to_be_bytes();
        let hello = [frame(SETTINGS, 0, 0, &window), frame(8, 0, 0, &update)].concat();
        upstream.write_all(&hello).await.unwrap();
        upstream.read_exact(&mut [0; 24]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        upstream
    };
    let asking = timeout(Duration::from_secs(3), client.send(request));
    let (_, _upstream) = tokio::join!(asking, upstream);
    let drained = timeout(LONG, rig.service.drain(Duration::from_millis(100))).await;
    assert_eq!(drained.expect("an end"), Drained::Cut(1));
}
