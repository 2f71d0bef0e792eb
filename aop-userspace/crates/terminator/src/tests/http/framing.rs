//! The end of each message is unambiguous for the next reader.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::{
    Rig, RigConfig, SITE, before_h2c, before_http1,
    client::{edge, raw, request_to, to_end, until},
};

#[tokio::test]
async fn a_body_passes_with_any_method() {
    for (rig, application) in [before_http1().await, before_h2c().await] {
        for method in ["GET", "DELETE", "PROPFIND"] {
            let request = format!(
                "{method} /echo HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\
                 Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            );
            let answer = raw(&rig, request.as_bytes()).await;
            assert!(answer.contains("hello"), "{method}: {answer}");
        }
        assert!(application.asked().iter().all(|asked| asked.body == b"hello"));
    }
}

#[tokio::test]
async fn a_chunked_response_has_no_content_length() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig =
        Rig::with(RigConfig::upstream(&format!("http://{}", listener.local_addr().unwrap()))).await;
    let mut peer = edge(&rig, &[], SITE).await;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    let mut upstream = request_to(&listener).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\n\r\n";
    upstream.write_all(answer.as_bytes()).await.unwrap();
    let answer = until(&mut peer, "0\r\n\r\n").await;
    assert!(answer.contains("hello") && !answer.contains("content-length"), "{answer}");
}

#[tokio::test]
async fn a_refused_upload_gets_its_reason_however_long_it_is() {
    let (rig, application) = before_http1().await;
    let mut peer = edge(&rig, &[], SITE).await;
    let head = "POST / HTTP/1.1\r\nHost: other.test\r\nContent-Length: 3000000\r\n\r\n";
    peer.write_all(head.as_bytes()).await.unwrap();
    // The peer writes everything before it reads.
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if peer.write_all(&[b'x'; 10_000]).await.is_err() {
            break;
        }
    }
    let answer = to_end(&mut peer).await;
    assert!(answer.starts_with("HTTP/1.1 421 ") && answer.ends_with("opened for.\n"), "{answer}");
    assert_eq!(application.connections(), 0);
}

/// A connection with a small receive buffer.
async fn narrow(rig: &Rig) -> tokio_rustls::client::TlsStream<TcpStream> {
    let stream = edge(rig, &[], SITE).await;
    socket2::SockRef::from(stream.get_ref().0).set_recv_buffer_size(32 * 1024).unwrap();
    stream
}

#[tokio::test]
async fn no_refusal_is_written_into_an_unfinished_response() {
    let (rig, _application) = before_http1().await;
    let mut seen = Vec::new();
    for step in 1..=25 {
        let size = step * 250_000;
        let mut peer = narrow(&rig).await;
        let head =
            format!("POST /echo HTTP/1.1\r\nHost: example.com\r\nContent-Length: {size}\r\n\r\n");
        peer.write_all(head.as_bytes()).await.unwrap();
        peer.write_all(&vec![b'x'; size]).await.unwrap();
        peer.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        peer.write_all(b"\0\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = to_end(&mut peer).await;
        let refusal = answer.find("HTTP/1.1 400");
        if refusal.is_some_and(|at| at > 0 && !answer[..at].ends_with("0\r\n\r\n")) {
            seen.push(size);
        }
    }
    assert!(seen.is_empty(), "a refusal within a response: {seen:?}");
}
