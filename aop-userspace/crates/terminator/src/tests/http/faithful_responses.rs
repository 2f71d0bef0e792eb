//! The responses of applications pass as they are, or become valid.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    Denial, Rig, RigConfig, SITE,
    client::{Client, LONG, edge, request_to, to_end, until},
};

/// A rig whose upstream is this test.
async fn before_us() -> (Rig, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    (Rig::with(RigConfig::upstream(&upstream)).await, listener)
}

/// A request of a peer over HTTP/1.1 that waits for its response.
async fn asked(rig: &Rig, listener: &TcpListener, head: &str) -> (TlsStream<TcpStream>, TcpStream) {
    let mut peer = edge(rig, &["http/1.1"], SITE).await;
    peer.write_all(head.as_bytes()).await.unwrap();
    (peer, request_to(listener).await)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[tokio::test]
async fn interim_responses_pass_before_the_final_one() {
    let (rig, listener) = before_us().await;
    let (mut peer, mut upstream) = asked(&rig, &listener, GET).await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    upstream.write_all(hints.as_bytes()).await.unwrap();
    let hints = until(&mut peer, "\r\n\r\n").await;
    assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert!(until(&mut peer, "\r\n\r\n").await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn the_application_decides_about_an_expectation() {
    let (rig, listener) = before_us().await;
    let head = "PUT / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\n\
        Content-Length: 4\r\n\r\n";
    for refused in ["417 Expectation Failed", "413 Content Too Large", "401 Unauthorized"] {
        let (mut peer, mut upstream) = asked(&rig, &listener, head).await;
        let answer = format!("HTTP/1.1 {refused}\r\nContent-Length: 0\r\n\r\n");
        upstream.write_all(answer.as_bytes()).await.unwrap();
        let answer = until(&mut peer, "\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {}", &refused[..3])), "{answer}");
        // The body may never come: the next bytes must not be taken for it.
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_response_may_have_a_thousand_fields_and_lenient_forms_become_valid() {
    let (rig, listener) = before_us().await;
    let cookies = "Set-Cookie: a=b\r\n".repeat(900);
    for (fields, has, has_not) in [
        (&*format!("{cookies}Content-Length: 2\r\n"), "content-length: 2\r\n", "chunked"),
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "content-length: 2\r\n", "2, 2"),
        ("Content-Length: 2, 2\r\n", "content-length: 2\r\n", "2, 2"),
        ("X: a\r\n b\r\nContent-Length: 2\r\n", "x: a b\r\n", "\r\n b"),
    ] {
        let (mut peer, mut upstream) = asked(&rig, &listener, GET).await;
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nok");
        upstream.write_all(answer.as_bytes()).await.unwrap();
        let answer = until(&mut peer, "\r\n\r\nok").await;
        assert!(answer.contains(has) && !answer.contains(has_not), "{answer}");
        assert_eq!(answer.matches("content-length").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_response_that_is_not_valid_is_a_502() {
    let (rig, listener) = before_us().await;
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: x\r\n",
        "Transfer-Encoding: gzip\r\n",
        "X Y: z\r\n",
    ] {
        let (mut peer, mut upstream) = asked(&rig, &listener, GET).await;
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nok");
        upstream.write_all(answer.as_bytes()).await.unwrap();
        assert!(until(&mut peer, "valid response.\n").await.starts_with("HTTP/1.1 502 "));
    }
    rig.denied(Denial::UpstreamBroken, 4).await;
}

#[tokio::test]
async fn a_response_that_ends_with_the_connection_is_whole_and_a_shorter_one_is_not() {
    let (rig, listener) = before_us().await;
    for (length, whole) in [("", true), ("Content-Length: 9\r\n", false)] {
        let (mut peer, mut upstream) = asked(&rig, &listener, GET).await;
        let answer = format!("HTTP/1.1 200 OK\r\n{length}\r\nbody");
        upstream.write_all(answer.as_bytes()).await.unwrap();
        drop(upstream);
        let answer = match whole {
            true => until(&mut peer, "\r\nbody\r\n0\r\n\r\n").await,
            false => to_end(&mut peer).await,
        };
        assert_eq!(answer.ends_with("0\r\n\r\n"), whole, "{answer}");
    }
}

#[tokio::test]
async fn an_early_response_arrives_while_the_upload_goes_on() {
    let (rig, listener) = before_us().await;
    let head = "PUT / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3000000\r\n\r\n";
    for closes in [false, true] {
        let (mut peer, mut upstream) = asked(&rig, &listener, head).await;
        upstream.write_all(b"HTTP/1.1 401 x\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
        if closes {
            drop(upstream);
            upstream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            drop(timeout(LONG, listener.accept()).await.unwrap().unwrap());
        } else {
            let (mut reading, writing) = upstream.into_split();
            let reading = async move {
                let mut all = Vec::new();
                reading.read_to_end(&mut all).await.ok();
                drop(writing);
            };
            let both = async {
                peer.write_all(&vec![b'x'; 3_000_000]).await.unwrap();
                assert!(until(&mut peer, "no").await.starts_with("HTTP/1.1 401 "));
                drop(peer);
            };
            tokio::join!(timeout(LONG, reading), timeout(LONG, both)).1.unwrap();
            continue;
        }
        // The peer reads only after its upload.
        timeout(LONG, peer.write_all(&vec![b'x'; 3_000_000])).await.unwrap().unwrap();
        assert!(until(&mut peer, "no").await.starts_with("HTTP/1.1 401 "));
        drop(upstream);
    }
}

#[tokio::test]
async fn early_responses_over_http2_harm_no_other_request() {
    let (rig, listener) = before_us().await;
    let mut client = Client::http2(&rig).await;
    let serve = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let read = stream.read(&mut head).await.unwrap();
            let early = head[..read].starts_with(b"PUT");
            let status = if early { 413 } else { 200 };
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nok");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let ask = async {
        let part = hyper::body::Bytes::from(vec![b'x'; 16 * 1024]);
        for _ in 0..100 {
            let frames = (0..16).map(|_| hyper::body::Frame::data(part.clone()));
            let body = super::application::Frames::of(frames);
            let request = client.request("PUT", "/").body(body).unwrap();
            assert_eq!(client.send(request).await.unwrap().status(), 413);
        }
        assert_eq!(client.get("/").await.unwrap().status(), 200);
    };
    tokio::select! {
        () = serve => {}
        () = ask => {}
    }
}
