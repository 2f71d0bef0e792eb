//! Peers and upstreams that are slow, pause, or end at an awkward moment.

use std::time::Duration;

use aop_config::{ProxyProtocol, Upstream, UpstreamAddress};
use h2::client::Builder;
use hyper::{Request, Response, body::Bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Denial, Rig, RigConfig, SITE, before_http1,
    client::{Client, LONG, edge, request_to},
    frames::{
        END_OF_BOTH, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, get, opened, parsed,
    },
};

async fn before_us(scheme: &str) -> (Rig, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    (Rig::with(RigConfig::upstream(&url)).await, listener)
}

#[tokio::test]
async fn a_response_ends_however_far_it_exceeds_the_window_of_its_peer() {
    const WINDOW: u32 = 100;
    let (rig, listener) = before_us("http").await;
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut head = Vec::new();
                while stream.read_buf(&mut head).await.unwrap_or(0) > 0 {
                    if !head.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                    let length: usize = text[5..].split(' ').next().unwrap().parse().unwrap();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                    let body = vec![b'x'; length];
                    stream.write_all(&[answer.as_bytes(), &body].concat()).await.unwrap();
                }
            });
        }
    });
    let stream = edge(&rig, &["h2"], SITE).await;
    let (peer, connection) =
        Builder::new().initial_window_size(WINDOW).handshake::<_, Bytes>(stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(connection.await) });
    let mut without_end = Vec::new();
    for beyond in 0..=48 {
        let length = WINDOW as usize + beyond;
        let get = Request::get(format!("https://{SITE}/{length}")).body(()).unwrap();
        let (response, _) = peer.clone().ready().await.unwrap().send_request(get, true).unwrap();
        let mut body = timeout(LONG, response).await.unwrap().unwrap().into_body();
        let mut received = 0;
        let receiving = async {
            while let Some(bytes) = body.data().await {
                let bytes = bytes.unwrap();
                received += bytes.len();
                body.flow_control().release_capacity(bytes.len()).unwrap();
            }
        };
        if timeout(LONG, receiving).await.is_err() {
            without_end.push((beyond, received));
        }
    }
    assert!(without_end.is_empty(), "no end (bytes beyond the window, received): {without_end:?}");
}

#[tokio::test]
async fn a_peer_that_pauses_does_not_make_its_upstream_look_dead() {
    const SIZE: usize = 48 << 20;
    let (rig, listener) = before_us("h2c").await;
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut bodies = JoinSet::new();
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            let mut body = answer.send_response(Response::new(()), false).unwrap();
            bodies.spawn(async move {
                let mut left = Bytes::from(vec![b'x'; SIZE]);
                while !left.is_empty() {
                    body.reserve_capacity(left.len());
                    let room = std::future::poll_fn(|context| body.poll_capacity(context)).await;
                    let Some(Ok(room)) = room else { return };
                    let part = left.split_to(room.min(left.len()));
                    body.send_data(part, left.is_empty()).unwrap();
                }
            });
        }
    });
    let mut peer = edge(&rig, &["http/1.1"], SITE).await;
    let ask = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    peer.write_all(ask).await.unwrap();
    // Far less than the time in which a response must make progress.
    sleep(Duration::from_secs(26)).await;
    let mut received = Vec::new();
    let end = timeout(3 * LONG, peer.read_to_end(&mut received)).await.expect("an end in time");
    assert!(end.is_ok() && received.len() > SIZE, "{end:?} after {} bytes", received.len());
}

#[tokio::test]
async fn a_request_that_crosses_the_goaway_is_served_however_long_it_takes() {
    let (rig, listener) = before_us("http").await;
    let mut peer = opened(&rig).await;
    rig.counters_when(|counters| counters.open == 1).await;
    let draining = rig.service.drain(3 * LONG);
    let asking = async {
        let mut received = Vec::new();
        while !parsed(&received).iter().any(|(kind, _)| *kind == GOAWAY) {
            assert!(peer.read_buf(&mut received).await.unwrap() > 0, "no GOAWAY");
        }
        // The PING behind it is not acknowledged yet: this request was under way.
        peer.write_all(&frame(HEADERS, END_OF_BOTH, 1, &get("/"))).await.unwrap();
        let mut upstream = request_to(&listener).await;
        sleep(Duration::from_secs(7)).await;
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await.unwrap();
        received.clear();
        while !received.windows(4).any(|text| text == b"late") {
            let read = timeout(LONG, peer.read_buf(&mut received)).await.unwrap();
            assert!(matches!(read, Ok(1..)), "the end before the response: {read:?}");
        }
    };
    tokio::select! {
        drained = draining => panic!("{drained:?} before the response"),
        () = asking => {}
    }
}

#[tokio::test]
async fn a_site_that_becomes_bytes_with_proxy_headers_sends_none_to_its_earlier_upstream() {
    let (rig, application) = before_http1().await;
    let mut one = Client::http1(&rig).await;
    assert_eq!(one.get("/").await.unwrap().status(), 200);
    let policy = rig.changed(|site| {
        let address = UpstreamAddress::Tcp(application.address.to_string());
        (site.upstream, site.proxy) = (Upstream::Bytes(address), ProxyProtocol::V1);
    });
    rig.service.reload(policy, LONG);
    assert_eq!(one.get("/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_upload_reaches_an_h2c_upstream_that_answers_before_it_reads() {
    const BODY: usize = 600 * 1024;
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("application");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let rig = Rig::with(RigConfig::upstream(&format!("unix+h2c://{}", path.display()))).await;
    let mut client = Client::http1(&rig).await;
    let request = client.request("POST", "/");
    let request = request.body(super::application::Frames::text(&"x".repeat(BODY))).unwrap();
    let upstream = async {
        let (mut upstream, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
        let most = 0x7fff_ffff_u32.to_be_bytes();
        let window = [&[0, 4][..], &most].concat();
        let update = (0x7fff_ffff - 65_535_u32).to_be_bytes();
        let hello = [frame(SETTINGS, 0, 0, &window), frame(8, 0, 0, &update)].concat();
        upstream.write_all(&hello).await.unwrap();
        upstream.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        // Until all that the upstream's socket, aop and the peer's window hold was sent.
        let mut received = Vec::new();
        while received.len() < BODY - 300 * 1024 {
            assert!(upstream.read_buf(&mut received).await.unwrap() > 0);
        }
        sleep(Duration::from_secs(1)).await;
        upstream.write_all(&frame(HEADERS, END_OF_BOTH, 1, &[0x88])).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let mut reading =
            Box::pin(async { while upstream.read_buf(&mut received).await.unwrap_or(0) > 0 {} });
        timeout(Duration::from_secs(3), &mut reading).await.ok();
        drop(reading);
        let data = parsed(&received).into_iter().filter(|(kind, _)| *kind == 0);
        data.map(|(_, payload)| payload.len()).sum::<usize>()
    };
    let (answer, body) = tokio::join!(client.send(request), upstream);
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(body, BODY);
}

#[tokio::test]
async fn a_refused_request_whose_answer_waits_for_a_window_counts_once() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let rig = Rig::with(RigConfig::upstream(&url)).await;
    let mut peer = edge(&rig, &["h2"], SITE).await;
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let ask = frame(HEADERS, END_OF_BOTH, 1, &get("/"));
    peer.write_all(&[PREFACE, &no_window, &ask].concat()).await.unwrap();
    let mut received = Vec::new();
    while !parsed(&received).iter().any(|(kind, _)| *kind == HEADERS) {
        assert!(timeout(LONG, peer.read_buf(&mut received)).await.unwrap().unwrap() > 0);
    }
    rig.denied(Denial::UpstreamUnreachable, 1).await;
    peer.write_all(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    rig.denied(Denial::UpstreamUnreachable, 1).await;
}
