//! Peers: raw bytes over TLS, and a real client for each HTTP version.

use std::sync::Arc;

use aop_tls::testing::connect;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    super::rig::{Rig, SITE},
    application::Frames,
};

pub(super) const LONG: std::time::Duration = std::time::Duration::from_secs(10);

/// A client on one connection.
pub(super) struct Client {
    sender: Sender,
    pub(super) connection: JoinSet<hyper::Result<()>>,
}

enum Sender {
    Http1(http1::SendRequest<Frames>),
    Http2(http2::SendRequest<Frames>),
}

impl Client {
    pub(super) async fn http1(rig: &Rig) -> Self {
        let io = TokioIo::new(edge(rig, &["http/1.1"], SITE).await);
        let (sender, driver) = http1::handshake(io).await.unwrap();
        let mut connection = JoinSet::new();
        connection.spawn(driver);
        Self { sender: Sender::Http1(sender), connection }
    }

    pub(super) async fn http2(rig: &Rig) -> Self {
        let io = TokioIo::new(edge(rig, &["h2", "http/1.1"], SITE).await);
        let builder = http2::Builder::new(TokioExecutor::new());
        let (sender, driver) = builder.handshake(io).await.unwrap();
        let mut connection = JoinSet::new();
        connection.spawn(driver);
        Self { sender: Sender::Http2(sender), connection }
    }

    /// Another client on the same HTTP/2 connection.
    pub(super) fn twin(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else { panic!("HTTP/1 has no streams") };
        Self { sender: Sender::Http2(sender.clone()), connection: JoinSet::new() }
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(
        &mut self,
        request: Request<Frames>,
    ) -> hyper::Result<Response<Incoming>> {
        let sending = async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => sender.send_request(request).await,
            }
        };
        timeout(LONG, sending).await.expect("an answer in time")
    }

    /// Sends a GET for a path of the site.
    pub(super) async fn get(&mut self, path: &str) -> hyper::Result<Response<Incoming>> {
        let request = self.request("GET", path);
        self.send(request.body(Frames::default()).unwrap()).await
    }

    pub(super) fn request(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        let request = Request::builder().method(method);
        match self.sender {
            Sender::Http1(_) => request.uri(path).header("host", SITE),
            Sender::Http2(_) => request.uri(format!("https://{SITE}{path}")),
        }
    }
}

/// An authenticated connection for `host` that offers these ALPN protocols.
pub(super) async fn edge(rig: &Rig, alpn: &[&str], host: &str) -> TlsStream<TcpStream> {
    let mut config = Arc::unwrap_or_clone(rig.edge());
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    connect(&Arc::new(config), rig.address, host).await.unwrap()
}

/// The next connection to an upstream, after its first request head: an upstream that sends first
/// is no HTTP server.
pub(super) async fn request_to(upstream: &TcpListener) -> TcpStream {
    let (mut stream, _) = timeout(LONG, upstream.accept()).await.unwrap().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    stream
}

/// Sends `bytes` on a new connection, and reads until the connection ends.
pub(super) async fn raw(rig: &Rig, bytes: &[u8]) -> String {
    let mut stream = edge(rig, &[], SITE).await;
    stream.write_all(bytes).await.unwrap();
    to_end(&mut stream).await
}

/// Reads until the end of the stream.
pub(super) async fn to_end(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    // An orderly end or an error.
    timeout(LONG, stream.read_to_end(&mut answer)).await.expect("an end in time").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until the bytes end with `end`.
pub(super) async fn until(stream: &mut TlsStream<TcpStream>, end: &str) -> String {
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).ends_with(end) {
        let byte = timeout(LONG, stream.read_u8()).await.expect("an answer in time");
        answer.push(byte.unwrap_or_else(|error| panic!("{error} after {answer:?}")));
    }
    String::from_utf8(answer).unwrap()
}
