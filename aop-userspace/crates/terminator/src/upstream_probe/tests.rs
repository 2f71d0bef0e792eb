use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Answers each request with the status in its path.
async fn http1(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
        let head = String::from_utf8(head).expect("text");
        let status = head.split(['/', ' ']).nth(2).unwrap_or_default();
        assert!(head.is_empty() || head.to_lowercase().contains("host: "), "{head}");
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 100000\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok();
    }
}

async fn http2(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        // A client that speaks HTTP/1.1 gets no answer.
        let Ok(mut connection) = h2::server::handshake(stream).await else { continue };
        while let Some(Ok((request, mut answer))) = connection.accept().await {
            let status = request.uri().path().trim_start_matches('/').to_owned();
            let head = hyper::Response::builder().status(status.as_str()).body(()).expect("a head");
            answer.send_response(head, true).expect("sent");
        }
    }
}

/// The probe of a site with this upstream, that requests `path` or only connects.
fn probe(upstream: &str, path: Option<&str>) -> UpstreamProbe {
    match (upstream.parse().expect("an upstream"), path) {
        (Upstream::Http(http), Some(path)) => UpstreamProbe::Request {
            upstream: http.upstream,
            host: "0.test".to_owned(),
            path: path.to_owned(),
        },
        (Upstream::Http(http), None) => UpstreamProbe::Connect(http.upstream.address),
        (Upstream::Bytes(address), _) => UpstreamProbe::Connect(address),
    }
}

#[tokio::test]
async fn an_upstream_is_good_if_it_connects_or_answers_and_otherwise_the_error_says_why() {
    let [(first, at1), (second, at2), (silent, at3)] =
        [listener().await, listener().await, listener().await];
    let (closed, at4) = listener().await;
    drop(closed);
    let serving = TaskTracker::new();
    let end = CancellationToken::new();
    serving.spawn(end.clone().run_until_cancelled_owned(http1(first)));
    serving.spawn(end.clone().run_until_cancelled_owned(http2(second)));
    let _end = end.drop_guard();
    for (upstream, path, expected) in [
        (format!("http://{at1}"), Some("/204"), None),
        (format!("http://{at1}"), Some("/302"), None),
        (format!("http://{at1}"), Some("/500"), Some("GET /500: it answers 500")),
        (format!("h2c://{at2}"), Some("/200"), None),
        (format!("h2c://{at2}"), Some("/404"), Some("GET /404: it answers 404")),
        (format!("http://{at2}"), Some("/200"), Some("GET /200: ")),
        (format!("tcp://{at3}"), None, None),
        (format!("http://{at3}"), Some("/200"), Some("no answer within 2s")),
        (format!("h2c://{at3}"), Some("/200"), Some("no answer within 2s")),
        (format!("tcp://{at4}"), None, Some("it cannot be reached: Connection refused")),
        ("unix:///nonexistent/socket".to_owned(), None, Some("it cannot be reached: No such file")),
    ] {
        let result = probe(&upstream, path).run().await;
        match expected {
            None => assert_eq!(result, Ok(()), "{upstream}"),
            Some(text) => assert!(
                result.as_ref().is_err_and(|error| error.contains(text)),
                "{upstream}: {result:?}"
            ),
        }
    }
    drop(silent);
}
