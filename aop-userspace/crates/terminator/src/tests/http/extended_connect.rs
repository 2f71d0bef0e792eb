//! WebSockets over HTTP/2: extended CONNECT (RFC 8441), with the `h2` crate as the peer.

use std::time::Duration;

use aop_config::HttpConfig;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::BASE64;
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    ext::Protocol,
};
use hyper::{Method, Request, body::Bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Denial, Rig, RigConfig, SITE,
    client::{LONG, edge},
};

/// A peer, and the upstream that the test itself is.
struct Stage {
    rig: Rig,
    listener: TcpListener,
    peer: SendRequest<Bytes>,
    _connection: JoinSet<()>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut HttpConfig)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let rig = Rig::with(RigConfig::upstream(&url).relayed(change)).await;
        let stream = edge(&rig, &["h2"], SITE).await;
        let (peer, connection) = h2::client::handshake(stream).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        let offered = async {
            while !peer.is_extended_connect_protocol_enabled() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, offered).await.expect("the server offers extended CONNECT");
        Self { rig, listener, peer, _connection: tasks }
    }

    /// Asks for a tunnel with this protocol.
    async fn connect(&mut self, protocol: &'static str) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("https://{SITE}/chat"))
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static(protocol));
        let mut peer = self.peer.clone().ready().await.unwrap();
        peer.send_request(request.body(()).unwrap(), false).unwrap()
    }

    /// The upstream's side of the next request, with its head.
    async fn asked(&self) -> (TcpStream, String) {
        let (mut upstream, _) = timeout(LONG, self.listener.accept()).await.unwrap().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(LONG, upstream.read_u8()).await.unwrap().unwrap());
        }
        (upstream, String::from_utf8(head).unwrap())
    }

    /// A tunnel, and the upstream's side of it.
    async fn tunnel(&mut self) -> (RecvStream, SendStream<Bytes>, TcpStream) {
        let (response, sending) = self.connect("websocket").await;
        let (mut upstream, head) = self.asked().await;
        upstream.write_all(switched(&head).as_bytes()).await.unwrap();
        let response = timeout(LONG, response).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        (response.into_body(), sending, upstream)
    }
}

/// The upstream's 101 to a request with this head.
fn switched(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
    let confirmed = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, confirmed.as_bytes()).as_ref());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// The next bytes; `None` at the end. The end may come in an empty frame.
async fn receive(body: &mut RecvStream) -> Option<Bytes> {
    loop {
        let bytes = timeout(LONG, body.data()).await.expect("bytes in time")?.unwrap();
        body.flow_control().release_capacity(bytes.len()).unwrap();
        if !bytes.is_empty() {
            return Some(bytes);
        }
    }
}

#[tokio::test]
async fn a_websocket_over_http2_becomes_an_upgrade_and_bytes_pass_both_ways() {
    let mut stage = Stage::new().await;
    let (response, mut sending) = stage.connect("websocket").await;
    // Bytes before the 101 wait for it.
    sending.send_data(Bytes::from_static(b"early"), false).unwrap();
    let (mut upstream, head) = stage.asked().await;
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
    for field in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "host: example.com",
    ] {
        assert!(head.contains(&format!("{field}\r\n")), "{field} is not in {head}");
    }
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    let mut read = [0; 64];
    let before = timeout(Duration::from_millis(100), upstream.read(&mut read)).await;
    assert!(before.is_err(), "the upstream received bytes before its 101");
    // The first message may share a packet with the 101.
    upstream.write_all(format!("{}hello", switched(&head)).as_bytes()).await.unwrap();
    let response = timeout(LONG, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    assert_eq!(receive(&mut body).await.unwrap(), "hello");
    timeout(LONG, upstream.read_exact(&mut read[..5])).await.unwrap().unwrap();
    assert_eq!(&read[..5], b"early");
    upstream.write_all(b"more").await.unwrap();
    assert_eq!(receive(&mut body).await.unwrap(), "more");
    // Each direction ends on its own.
    sending.send_data(Bytes::from_static(b"last"), true).unwrap();
    let mut rest = Vec::new();
    timeout(LONG, upstream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"last");
    upstream.write_all(b"late").await.unwrap();
    drop(upstream);
    assert_eq!(receive(&mut body).await.unwrap(), "late");
    assert_eq!(receive(&mut body).await, None);
    stage.rig.counters_when(|counters| counters.relayed == 1 && counters.denied.is_empty()).await;
}

#[tokio::test]
async fn the_upstream_may_end_its_side_first_and_a_reset_reaches_it() {
    let mut stage = Stage::new().await;
    let (mut body, mut sending, mut upstream) = stage.tunnel().await;
    upstream.shutdown().await.unwrap();
    assert_eq!(receive(&mut body).await, None);
    sending.send_data(Bytes::from_static(b"after"), false).unwrap();
    let mut read = [0; 5];
    timeout(LONG, upstream.read_exact(&mut read)).await.unwrap().unwrap();
    assert_eq!(&read, b"after");
    let (_body, mut sending, mut upstream) = stage.tunnel().await;
    sending.send_reset(h2::Reason::CANCEL);
    let ended = timeout(LONG, upstream.read(&mut read)).await.unwrap();
    assert!(ended.is_err(), "a reset, not an orderly end: {ended:?}");
}

#[tokio::test]
async fn much_passes_through_a_tunnel_in_both_directions_at_once() {
    const SIZE: usize = 4 << 20;
    let mut stage = Stage::new().await;
    let (mut body, mut sending, upstream) = stage.tunnel().await;
    let (mut reading, mut writing) = upstream.into_split();
    let down = async {
        let chunk = vec![b'd'; 64 * 1024];
        for _ in 0..SIZE / chunk.len() {
            writing.write_all(&chunk).await.unwrap();
        }
        drop(writing);
    };
    let read_up = async {
        let mut all = Vec::new();
        reading.read_to_end(&mut all).await.unwrap();
        all
    };
    let up = async {
        let mut left = Bytes::from(vec![b'u'; SIZE]);
        while !left.is_empty() {
            sending.reserve_capacity(left.len());
            let room = std::future::poll_fn(|context| sending.poll_capacity(context)).await;
            let part = left.split_to(room.unwrap().unwrap().min(left.len()));
            sending.send_data(part, left.is_empty()).unwrap();
        }
    };
    let read_down = async {
        let mut received = 0;
        while let Some(bytes) = receive(&mut body).await {
            assert!(bytes.iter().all(|byte| *byte == b'd'));
            received += bytes.len();
        }
        received
    };
    let all = async { tokio::join!(down, read_up, up, read_down) };
    let ((), uploaded, (), received) = timeout(3 * LONG, all).await.unwrap();
    assert_eq!((uploaded.len(), received), (SIZE, SIZE));
    assert!(uploaded.iter().all(|byte| *byte == b'u'));
}

#[tokio::test]
async fn a_refusal_of_the_application_reaches_the_peer() {
    let mut stage = Stage::new().await;
    let (response, _sending) = stage.connect("websocket").await;
    let (mut upstream, _) = stage.asked().await;
    upstream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    let response = timeout(LONG, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(receive(&mut response.into_body()).await.unwrap(), "no");
}

#[tokio::test]
async fn without_a_confirmed_101_there_is_no_tunnel() {
    let mut stage = Stage::new().await;
    let answers = [
        // A 200 would open a tunnel in HTTP/2.
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        switched("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
    ];
    let count = answers.len() as u64;
    for answer in answers {
        let (response, _sending) = stage.connect("websocket").await;
        let (mut upstream, _) = stage.asked().await;
        upstream.write_all(answer.as_bytes()).await.unwrap();
        let response = timeout(LONG, response).await.unwrap().unwrap();
        assert_eq!(response.status(), 502, "{answer}");
    }
    stage.rig.denied(Denial::UpstreamBroken, count).await;
}

#[tokio::test]
async fn connect_for_anything_else_is_refused_and_other_streams_live() {
    let mut stage = Stage::new().await;
    let (mut body, _sending, mut upstream) = stage.tunnel().await;
    let (response, _other) = stage.connect("connect-udp").await;
    assert_eq!(timeout(LONG, response).await.unwrap().unwrap().status(), 400);
    let request = Request::builder().method(Method::CONNECT).uri(format!("{SITE}:443"));
    let mut peer = stage.peer.clone().ready().await.unwrap();
    let (response, _plain) = peer.send_request(request.body(()).unwrap(), false).unwrap();
    assert_eq!(timeout(LONG, response).await.unwrap().unwrap().status(), 400);
    stage.rig.denied(Denial::BadRequest, 2).await;
    upstream.write_all(b"lives").await.unwrap();
    assert_eq!(receive(&mut body).await.unwrap(), "lives");
}

#[tokio::test]
async fn tunnels_and_event_streams_have_a_bound_of_their_own() {
    let mut stage = Stage::with(|http| (http.requests, http.tunnels) = (1, 2)).await;
    let (_body, _sending, _upstream) = stage.tunnel().await;
    // An event stream counts as a tunnel once its response begins.
    let get = |path: &str| Request::get(format!("https://{SITE}{path}")).body(()).unwrap();
    let mut peer = stage.peer.clone().ready().await.unwrap();
    let (events, _) = peer.send_request(get("/events"), true).unwrap();
    let (mut streaming, _) = stage.asked().await;
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n";
    streaming.write_all(head).await.unwrap();
    let events = timeout(LONG, events).await.unwrap().unwrap();
    assert_eq!(events.status(), 200);
    let open = stage.rig.service.open_requests();
    let open = open[SITE];
    assert_eq!((open.requests.open, open.requests.limit), (0, 1));
    assert_eq!((open.tunnels.open, open.tunnels.limit), (2, 2));
    // Requests are served as before.
    let (response, _) = peer.send_request(get("/"), true).unwrap();
    let (mut upstream, _) = stage.asked().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(timeout(LONG, response).await.unwrap().unwrap().status(), 200);
    let (refused, _sending) = stage.connect("websocket").await;
    assert_eq!(timeout(LONG, refused).await.unwrap().unwrap().status(), 503);
    let (refused, _) = peer.send_request(get("/events"), true).unwrap();
    let mut upstream = upstream;
    let mut head_of_request = [0; 1024];
    assert!(upstream.read(&mut head_of_request).await.unwrap() > 0);
    upstream.write_all(head).await.unwrap();
    assert_eq!(timeout(LONG, refused).await.unwrap().unwrap().status(), 503);
    stage.rig.denied(Denial::TunnelsBusy, 2).await;
    drop((events, streaming));
    // The slot is free again.
    let freed = async {
        while stage.rig.service.open_requests()[SITE].tunnels.open > 1 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, freed).await.unwrap();
}

#[tokio::test]
async fn a_tunnel_that_its_upstream_has_half_closed_may_pause() {
    let mut stage = Stage::new().await;
    let (mut body, mut sending, mut upstream) = stage.tunnel().await;
    upstream.shutdown().await.unwrap();
    assert_eq!(receive(&mut body).await, None);
    sleep(Duration::from_secs(4)).await;
    sending.send_data(Bytes::from_static(b"after"), true).unwrap();
    let mut rest = Vec::new();
    let end = timeout(LONG, upstream.read_to_end(&mut rest)).await.unwrap();
    assert!(end.is_ok() && rest == b"after", "{end:?} after {rest:?}");
}
