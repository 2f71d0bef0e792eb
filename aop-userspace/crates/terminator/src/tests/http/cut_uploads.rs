//! A peer may end its upload before its announced length, once it has seen the head of an early
//! response; curl does. It gets the whole response, and the upstream never a complete request.

use std::io::ErrorKind;

use h2::{SendStream, client::ResponseFuture};
use hyper::{Request, Response, body::Bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::{
    Rig, RigConfig, SITE,
    client::{LONG, edge},
};

/// An upload over HTTP/2 of which a part has been sent.
struct Upload {
    _rig: Rig,
    listener: TcpListener,
    response: ResponseFuture,
    body: SendStream<Bytes>,
    _connection: JoinSet<()>,
}

impl Upload {
    async fn to(scheme: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("{scheme}://{}", listener.local_addr().unwrap());
        let rig = Rig::with(RigConfig::upstream(&upstream)).await;
        let stream = edge(&rig, &["h2"], SITE).await;
        let (mut peer, connection) = h2::client::handshake(stream).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        let request = Request::put(format!("https://{SITE}/")).header("content-length", "9");
        let (response, mut body) = peer.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data("abcd".into(), false).unwrap();
        Self { _rig: rig, listener, response, body, _connection: tasks }
    }

    async fn accepted(&self) -> TcpStream {
        timeout(LONG, self.listener.accept()).await.unwrap().unwrap().0
    }

    /// Cuts the upload short, and returns the response after `complete` has sent its end.
    async fn cut(mut self, complete: impl AsyncFnOnce()) -> (u16, Vec<u8>) {
        let response = timeout(LONG, self.response).await.unwrap().unwrap();
        self.body.send_data("e".into(), true).unwrap();
        complete().await;
        let status = response.status().as_u16();
        let (mut stream, mut body) = (response.into_body(), Vec::new());
        while let Some(bytes) = timeout(LONG, stream.data()).await.expect("bytes in time") {
            body.extend_from_slice(&bytes.expect("the response is not reset"));
        }
        (status, body)
    }
}

#[tokio::test]
async fn the_response_of_an_http_1_upstream_is_whole() {
    let upload = Upload::to("http").await;
    let mut upstream = upload.accepted().await;
    let mut request = Vec::new();
    while !request.ends_with(b"abcd") {
        request.push(timeout(LONG, upstream.read_u8()).await.unwrap().unwrap());
    }
    upstream.write_all(b"HTTP/1.1 413 x\r\nContent-Length: 9\r\n\r\ntoo ").await.unwrap();
    let end = async || {
        // The upstream sees nothing of the cut before the response is complete.
        upstream.write_all(b"large").await.unwrap();
        let rest = timeout(LONG, upstream.read_to_end(&mut request)).await.unwrap();
        assert_eq!(rest.unwrap_err().kind(), ErrorKind::ConnectionReset);
    };
    assert_eq!(upload.cut(end).await, (413, b"too large".to_vec()));
}

#[tokio::test]
async fn the_response_of_an_h2c_upstream_is_whole() {
    let upload = Upload::to("h2c").await;
    let mut upstream = h2::server::handshake(upload.accepted().await).await.unwrap();
    let accepted = timeout(LONG, upstream.accept()).await.unwrap();
    let (request, mut respond) = accepted.unwrap().unwrap();
    let mut connection = JoinSet::new();
    connection.spawn(async move { while upstream.accept().await.is_some() {} });
    let mut body = request.into_body();
    assert_eq!(timeout(LONG, body.data()).await.unwrap().unwrap().unwrap(), "abcd");
    let response = Response::builder().status(413).body(()).unwrap();
    let mut sending = respond.send_response(response, false).unwrap();
    sending.send_data("too ".into(), false).unwrap();
    let end = async || {
        sending.send_data("large".into(), true).unwrap();
        let rest = timeout(LONG, body.data()).await.unwrap();
        assert!(rest.expect("no complete request").unwrap_err().is_reset());
    };
    assert_eq!(upload.cut(end).await, (413, b"too large".to_vec()));
}
