//! The application behind a site: a real server of one HTTP version that records its requests.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    http::request::Parts,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};

/// A running application. Dropping it ends it.
pub(super) struct Application {
    pub(super) address: SocketAddr,
    version: Version,
    memory: Arc<Memory>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Memory {
    asked: Mutex<Vec<RecordedRequest>>,
    connections: AtomicUsize,
}

/// A request that arrived completely.
#[derive(Clone, Debug)]
pub(super) struct RecordedRequest {
    pub(super) head: Parts,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
}

impl RecordedRequest {
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        self.head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

impl Application {
    pub(super) async fn http1() -> Self {
        Self::start(Version::HTTP_11).await
    }

    pub(super) async fn h2c() -> Self {
        Self::start(Version::HTTP_2).await
    }

    async fn start(version: Version) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let memory = Arc::<Memory>::default();
        let mut serving = JoinSet::new();
        let shared = memory.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Relaxed);
                let memory = shared.clone();
                let service = service_fn(move |request| answer(request, memory.clone()));
                connections.spawn(async move {
                    let io = TokioIo::new(stream);
                    if version == Version::HTTP_2 {
                        let builder = http2::Builder::new(TokioExecutor::new());
                        builder.serve_connection(io, service).await.ok();
                    } else {
                        http1::Builder::new().serve_connection(io, service).await.ok();
                    }
                });
            }
        });
        Self { address, version, memory, _serving: serving }
    }

    /// Its URL.
    pub(super) fn url(&self) -> String {
        let scheme = if self.version == Version::HTTP_2 { "h2c" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// All requests, in order.
    pub(super) fn asked(&self) -> Vec<RecordedRequest> {
        self.memory.asked.lock().unwrap().clone()
    }

    /// The only request.
    pub(super) fn asked_once(&self) -> RecordedRequest {
        let asked = self.asked();
        let [only] = &asked[..] else { panic!("{asked:?}") };
        only.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.memory.connections.load(Relaxed)
    }
}

/// The application: it does not read the body of `/stall`, never answers `/never`, answers `/large`
/// with 8 MB, `/echo` with the body and trailers of the request, `/empty` with 204, and any other
/// path with a text that names it.
async fn answer(
    request: Request<Incoming>,
    memory: Arc<Memory>,
) -> Result<Response<Frames>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path == "/stall" {
        std::future::pending::<()>().await;
    }
    let Ok((body, trailers)) = whole(body).await else { std::future::pending().await };
    memory.asked.lock().unwrap().push(RecordedRequest {
        head,
        body: body.clone(),
        trailers: trailers.clone(),
    });
    let mut response = Response::new(match path.as_str() {
        "/never" => std::future::pending().await,
        "/echo" => Frames::of([Frame::data(body.into()), Frame::trailers(trailers)]),
        "/empty" => Frames::default(),
        "/large" => Frames::of((0..512).map(|_| Frame::data(vec![b'x'; 16 * 1024].into()))),
        path => Frames::text(&format!("the application answers {path}")),
    });
    if path == "/empty" {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    if path == "/echo" {
        response.headers_mut().insert("trailer", "grpc-status, x-forwarded-for".parse().unwrap());
    }
    response.headers_mut().insert("x-application", "1".parse().unwrap());
    Ok(response)
}

/// All data and the trailers of a body.
pub(super) async fn whole(mut body: Incoming) -> hyper::Result<(Vec<u8>, HeaderMap)> {
    let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = frame(&mut body).await {
        match frame?.into_data() {
            Ok(bytes) => data.extend_from_slice(&bytes),
            Err(frame) => trailers = frame.into_trailers().unwrap(),
        }
    }
    Ok((data, trailers))
}

pub(super) async fn frame(body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// A body of given frames.
#[derive(Default)]
pub(super) struct Frames(VecDeque<Frame<Bytes>>);

impl Frames {
    pub(super) fn of(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Self {
        Self(frames.into_iter().collect())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::of([Frame::data(text.to_owned().into())])
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let length = |frame: &Frame<Bytes>| Some(frame.data_ref()?.len() as u64);
        let lengths: Option<Vec<u64>> = self.0.iter().map(length).collect();
        lengths.map_or_else(SizeHint::new, |lengths| SizeHint::with_exact(lengths.iter().sum()))
    }
}
