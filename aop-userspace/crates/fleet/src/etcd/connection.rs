//! One connection to one endpoint: TCP, TLS with both certificates, HTTP/2.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use aop_config::EtcdEndpoint;
use aop_tls::MutualClient;
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tonic::{
    Request as Call,
    body::Body,
    client::{Grpc, GrpcService},
    metadata::MetadataValue,
};
use tonic_prost::ProstCodec;

use super::EtcdError;

/// The time for the resolver, TCP, TLS and the first frames of HTTP/2 together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for one call. etcd itself gives up after five seconds without a quorum.
const CALL_TIMEOUT: Duration = Duration::from_secs(7);
/// The longest answer: a page of 500 reports of 16 KiB.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A connection. It is closed when this is dropped.
pub(super) struct Connection {
    grpc: Grpc<Http2>,
    /// The task that moves the bytes.
    _driver: JoinSet<()>,
}

/// The sending side of an HTTP/2 connection.
struct Http2(SendRequest<Body>);

impl Connection {
    /// Connects to `endpoint`.
    pub(super) async fn open(
        endpoint: &EtcdEndpoint,
        tls: Option<&MutualClient>,
    ) -> Result<Self, EtcdError> {
        let opened = timeout(CONNECT_TIMEOUT, Self::connect(endpoint, tls)).await;
        opened.unwrap_or_else(|_| {
            Err(EtcdError::unavailable(&format!(
                "no connection within {} s",
                CONNECT_TIMEOUT.as_secs()
            )))
        })
    }

    async fn connect(
        endpoint: &EtcdEndpoint,
        tls: Option<&MutualClient>,
    ) -> Result<Self, EtcdError> {
        let tcp = TcpStream::connect((endpoint.host(), endpoint.port()))
            .await
            .map_err(|error| EtcdError::unavailable(&format!("cannot connect: {error}")))?;
        tcp.set_nodelay(true)
            .map_err(|error| EtcdError::unavailable(&format!("cannot connect: {error}")))?;
        let origin = endpoint.to_string();
        let origin = Uri::try_from(&origin)
            .map_err(|error| EtcdError::refused(&format!("{origin}: {error}")))?;
        match tls {
            None => Self::handshake(tcp, origin).await,
            Some(tls) => {
                let stream = tls
                    .connect(endpoint.host(), tcp)
                    .await
                    .map_err(|why| EtcdError::unavailable(&format!("TLS failed: {why}")))?;
                Self::handshake(stream, origin).await
            }
        }
    }

    async fn handshake(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        origin: Uri,
    ) -> Result<Self, EtcdError> {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| EtcdError::broken(&error))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Its error is that of the calls, too.
            connection.await.ok();
        });
        let grpc = Grpc::with_origin(Http2(sender), origin).max_decoding_message_size(MAX_ANSWER);
        Ok(Self { grpc, _driver: driver })
    }

    /// Makes a call: `path` is the service and its method. Only a member that has a leader answers.
    pub(super) async fn call<Q, A>(&mut self, path: &'static str, ask: Q) -> Result<A, EtcdError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let path = hyper::http::uri::PathAndQuery::from_static(path);
        let mut call = Call::new(ask);
        call.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let answered = timeout(CALL_TIMEOUT, async {
            self.grpc.ready().await.map_err(|error| EtcdError::broken(&error))?;
            let codec = ProstCodec::<Q, A>::default();
            self.grpc.unary(call, path, codec).await.map_err(|status| EtcdError::of(&status))
        });
        match answered.await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => {
                Err(EtcdError::silent(&format!("no answer within {} s", CALL_TIMEOUT.as_secs())))
            }
        }
    }
}

impl GrpcService<Body> for Http2 {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
