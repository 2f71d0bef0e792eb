//! Nothing of one request or response reaches another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{Response, body::Bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Rig, RigConfig, SITE,
    application::{Frames, whole},
    before_h2c, before_http1,
    client::{Client, LONG, edge, to_end},
    frames::{END_OF_BOTH, HEADERS, RST_STREAM, frame, get, opened},
};

/// An application that sends `answer` to each request, and keeps its connections.
async fn answers(listener: TcpListener, answer: &'static str, connections: Arc<AtomicUsize>) {
    let mut serving = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Relaxed);
        serving.spawn(async move {
            let mut head = vec![0; 4096];
            while stream.read(&mut head).await.unwrap_or(0) > 0 {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn bytes_behind_a_response_are_never_taken_for_the_next_one() {
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nsecret"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n0\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let rig = Rig::with(RigConfig::upstream(&upstream)).await;
        let connections = Arc::<AtomicUsize>::default();
        let ask = async {
            for mut client in [Client::http1(&rig).await, Client::http2(&rig).await] {
                for _ in 0..3 {
                    let request = client.request(method, "/").body(Frames::default()).unwrap();
                    let response = client.send(request).await.unwrap();
                    assert!(response.status().is_success(), "{}", response.status());
                    let body = whole(response.into_body()).await.unwrap().0;
                    assert!(body.is_empty() || body == b"ok", "{body:?}");
                }
            }
        };
        tokio::select! {
            () = answers(listener, answer, connections.clone()) => {}
            () = ask => {}
        }
        // Each request had a connection of its own.
        assert_eq!(connections.load(Relaxed), 6, "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_withdrawn_before_it_is_sent_leaves_the_shared_connection_to_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("h2c://{}", listener.local_addr().unwrap());
    let rig = Rig::with(RigConfig::upstream(&upstream)).await;
    let mut peer = opened(&rig).await;
    // Both go to one connection, whose settings do not arrive yet.
    for (stream, path) in [(1, "/one"), (3, "/two")] {
        peer.write_all(&frame(HEADERS, END_OF_BOTH, stream, &get(path))).await.unwrap();
    }
    peer.flush().await.unwrap();
    let (stream, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
    sleep(Duration::from_millis(100)).await;
    peer.write_all(&frame(RST_STREAM, 0, 3, &[0, 0, 0, 8])).await.unwrap();
    peer.flush().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    peer.write_all(&frame(HEADERS, END_OF_BOTH, 5, &get("/three"))).await.unwrap();
    peer.flush().await.unwrap();
    // The application answers with the path of each request.
    let serve = async {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut answer))) = connection.accept().await {
            let response = Response::builder().header("x-path", request.uri().path());
            let mut body = answer.send_response(response.body(()).unwrap(), false).unwrap();
            let path = Bytes::from(request.uri().path().to_owned());
            body.send_data(path, true).unwrap();
        }
    };
    let mut received = Vec::new();
    let reading = async {
        let text = |received: &[u8]| String::from_utf8_lossy(received).into_owned();
        while !(text(&received).contains("/one") && text(&received).contains("/three")) {
            peer.read_buf(&mut received).await.unwrap();
        }
    };
    tokio::select! {
        () = serve => {}
        read = timeout(LONG, reading) => read.expect("both responses"),
    }
    let mut rest = &received[..];
    while let Some((head, payload)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if head[3] == 0 && length > 0 {
            let body = &payload[..length];
            assert_eq!(body, if stream == 1 { &b"/one"[..] } else { b"/three" }, "{stream}");
        }
        rest = &payload[length..];
    }
}

#[tokio::test]
async fn a_request_behind_the_last_one_of_a_connection_is_not_relayed() {
    let (rig, application) = before_http1().await;
    for first in [
        "GET /1 HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
        "GET /1 HTTP/1.0\r\nHost: example.com\r\n\r\n",
        "POST /1 HTTP/1.1\r\nHost: other.test\r\nContent-Length: 4\r\n\r\nbody",
    ] {
        let mut peer = edge(&rig, &[], SITE).await;
        let both = format!("{first}GET /2 HTTP/1.1\r\nHost: example.com\r\n\r\n");
        peer.write_all(both.as_bytes()).await.unwrap();
        let answer = to_end(&mut peer).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert!(application.asked().iter().all(|asked| asked.head.uri.path() == "/1"));
}

#[tokio::test]
async fn windows_survive_responses_that_peers_withdraw() {
    let (rig, _application) = before_h2c().await;
    let mut client = Client::http2(&rig).await;
    // Together far more than the window of one connection.
    for _ in 0..300 {
        let response = client.get("/large").await.unwrap();
        drop(response);
    }
    let answer = client.get("/").await.unwrap();
    let body = timeout(LONG, whole(answer.into_body())).await.expect("a body in time");
    assert_eq!(body.unwrap().0, b"the application answers /");
}
