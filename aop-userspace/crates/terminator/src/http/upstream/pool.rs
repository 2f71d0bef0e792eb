//! The pool of connections to an upstream: keeps idle ones, bounds open requests, sends requests.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aop_config::{HttpConfig, HttpUpstream, HttpVersion};
use aop_tls::Warrant;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, http::request::Parts};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use crate::http::{
    denial::Denial,
    request_body::{BodyProgress, RequestBody},
    response_body::BodySource,
    upstream::http1::{Http1Connection, RespondingConnection, Reuse, SendOutcome},
    upstream::http2::{ConnectionTasks, Http2Connection},
    websocket::UpgradedUpstream,
};
use crate::upstream::{UpstreamStream, connect_with_header, lacks_descriptors};

/// The largest number of idle connections to an upstream.
const MAX_IDLE: usize = 128;
/// How long an idle connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// The interval of removing expired connections.
const EVICT_INTERVAL: Duration = Duration::from_secs(5);
/// The upstream may close a connection at any moment that was idle for longer. A request that is
/// lost for this reason is sent again.
const RETRY_AFTER_IDLE: Duration = Duration::from_secs(1);

/// The pools of all upstreams, for one worker.
pub(crate) struct Pools {
    pools: Mutex<HashMap<PoolKey, Arc<Pool>>>,
    slots: Arc<RequestSlots>,
    /// Runs the tasks of HTTP/2 connections.
    tasks: ConnectionTasks,
}

/// An upstream, and its largest number of open requests.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    upstream: HttpUpstream,
    requests: usize,
}

/// The bound on open requests of each upstream, shared by all workers.
#[derive(Default)]
pub(crate) struct RequestSlots(Mutex<HashMap<PoolKey, Arc<Semaphore>>>);

/// The connections to one upstream.
pub(in crate::http) struct Pool {
    upstream: HttpUpstream,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Http1Connection>>,
    http2: Http2Connection,
}

/// The timeouts of a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct RequestTimeouts {
    /// To connect to the upstream.
    pub(in crate::http) connect: Duration,
    /// Until the response begins, counted from the last progress of the request.
    pub(in crate::http) answer: Duration,
}

/// A response that has begun.
pub(in crate::http) struct RelayedResponse {
    pub(in crate::http) response: Response<()>,
    pub(in crate::http) source: BodySource,
    pub(in crate::http) slot: OwnedSemaphorePermit,
}

/// The upstream's reply to a request.
pub(in crate::http) enum UpstreamReply {
    Response(RelayedResponse),
    /// 101: a tunnel of bytes follows.
    Tunnel(Response<()>, UpgradedUpstream),
}

impl RequestSlots {
    fn get(&self, key: &PoolKey) -> Arc<Semaphore> {
        let mut slots = self.0.lock();
        // A new upstream is the occasion to remove those that are no longer used.
        if !slots.contains_key(key) {
            slots.retain(|_, slots| Arc::strong_count(slots) > 1);
        }
        slots.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(key.requests))).clone()
    }
}

impl Pools {
    /// Empty pools; their open requests count against `slots`.
    pub(crate) fn new(slots: Arc<RequestSlots>) -> Self {
        Self { pools: Mutex::default(), slots, tasks: ConnectionTasks::default() }
    }

    /// The pool of an upstream.
    pub(in crate::http) fn get(&self, http: &HttpConfig) -> Arc<Pool> {
        let key = PoolKey { upstream: http.upstream.clone(), requests: http.requests };
        self.pools
            .lock()
            .entry(key)
            .or_insert_with_key(|key| {
                Arc::new(Pool {
                    upstream: http.upstream.clone(),
                    slots: self.slots.get(key),
                    idle: Mutex::default(),
                    http2: Http2Connection::new(self.tasks.clone(), http.requests),
                })
            })
            .clone()
    }

    /// Periodically closes connections that were idle for too long, and removes unused upstreams.
    /// Never returns.
    pub(crate) async fn evict_idle(self: Arc<Self>) {
        loop {
            sleep(EVICT_INTERVAL).await;
            self.pools.lock().retain(|_, pool| {
                let mut idle = pool.idle.lock();
                idle.retain(|connection| connection.idle_time() < IDLE_MAX);
                Arc::strong_count(pool) > 1 || !idle.is_empty()
            });
        }
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.pools.lock().clear();
        self.tasks.close().await;
    }
}

impl Pool {
    /// Sends a request under a [`Warrant`] and waits for the head of the response. A request with a
    /// PROXY `header` gets a connection of its own.
    ///
    /// # Errors
    /// There is no response.
    pub(in crate::http) async fn relay(
        self: &Arc<Self>,
        _: &Warrant,
        request: Request<RequestBody>,
        timeouts: RequestTimeouts,
        header: Option<Vec<u8>>,
    ) -> Result<UpstreamReply, Denial> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| Denial::UpstreamBusy)?;
        match self.upstream.version {
            HttpVersion::Http1 => self.over_http1(request, slot, timeouts, header).await,
            HttpVersion::H2c => {
                let connect = || self.connect(timeouts.connect, &[]);
                let response = self.http2.send(request, timeouts, connect).await?;
                let (head, body) = response.into_parts();
                let response = Response::from_parts(head, ());
                Ok(UpstreamReply::Response(RelayedResponse {
                    response,
                    source: BodySource::Http2(body),
                    slot,
                }))
            }
        }
    }

    async fn over_http1(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        slot: OwnedSemaphorePermit,
        timeouts: RequestTimeouts,
        header: Option<Vec<u8>>,
    ) -> Result<UpstreamReply, Denial> {
        let progress = request.body().progress();
        let (header, reuse) = match &header {
            None => (&[][..], Reuse::Allowed),
            Some(header) => (&header[..], Reuse::Forbidden),
        };
        let mut idle = reuse;
        loop {
            let (mut connection, again) = match poll_fn(|context| self.take(idle, context)).await {
                Some(connection) => {
                    let again = (connection.idle_time() > RETRY_AFTER_IDLE)
                        .then(|| copy(&request))
                        .flatten();
                    (connection, again)
                }
                None => {
                    idle = Reuse::Forbidden;
                    let stream = self.connect(timeouts.connect, header).await?;
                    let opened = Http1Connection::open(stream, reuse).await;
                    (opened.map_err(|_| Denial::UpstreamBroken)?, None)
                }
            };
            let sending = connection.send(request);
            let sent = within_progress(sending, timeouts.answer, progress.as_deref()).await?;
            request = match (sent, again) {
                (SendOutcome::Responded(response), _) => {
                    return self.reply(response, connection, slot).await;
                }
                (SendOutcome::Unsent(request), _) if idle == Reuse::Allowed => *request,
                (SendOutcome::Failed(_), Some(again)) => {
                    idle = Reuse::Forbidden;
                    again
                }
                (SendOutcome::Unsent(_), _) => return Err(Denial::UpstreamBroken),
                (SendOutcome::Failed(error), None) => {
                    tracing::debug!(upstream = %self.upstream, ?error, "no response");
                    return Err(denial_for(progress.as_deref()));
                }
            };
        }
    }

    async fn reply(
        self: &Arc<Self>,
        response: Response<Incoming>,
        connection: Http1Connection,
        slot: OwnedSemaphorePermit,
    ) -> Result<UpstreamReply, Denial> {
        let (head, body) = response.into_parts();
        let response = Response::from_parts(head, ());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let (stream, read) = connection.into_parts();
            return Ok(UpstreamReply::Tunnel(response, UpgradedUpstream { stream, read, slot }));
        }
        let source = BodySource::Http1(Box::new(
            RespondingConnection::new(body, connection, self.clone()).await,
        ));
        Ok(UpstreamReply::Response(RelayedResponse { response, source, slot }))
    }

    async fn connect(&self, limit: Duration, header: &[u8]) -> Result<UpstreamStream, Denial> {
        match timeout(limit, connect_with_header(&self.upstream.address, header)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                tracing::debug!(upstream = %self.upstream, %error, "cannot connect");
                Err(match lacks_descriptors(&error) {
                    true => Denial::NoDescriptor,
                    false => Denial::UpstreamUnreachable,
                })
            }
            Err(_) => Err(Denial::UpstreamLate),
        }
    }

    /// The most recently used idle connection that is still open.
    fn take(&self, reuse: Reuse, context: &mut Context<'_>) -> Poll<Option<Http1Connection>> {
        if reuse == Reuse::Allowed {
            let mut idle = self.idle.lock();
            while let Some(mut connection) = idle.pop() {
                if connection.is_usable(context) {
                    return Poll::Ready(Some(connection));
                }
            }
        }
        Poll::Ready(None)
    }

    /// Keeps an idle connection.
    pub(in crate::http) fn put(&self, connection: Http1Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }
}

/// A copy of a request that is safe to send twice: its method is safe (RFC 9110, 9.2.1), and it has
/// no body.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    (safe && request.body().progress().is_none()).then(|| {
        let (mut head, ()) = Request::new(()).into_parts();
        let Parts { method, uri, version, headers, .. } = &mut head;
        *method = request.method().clone();
        *uri = request.uri().clone();
        *version = request.version();
        *headers = request.headers().clone();
        Request::from_parts(head, RequestBody::empty())
    })
}

/// Waits for `sending` as long as the request makes progress within each `limit`.
pub(in crate::http) async fn within_progress<T>(
    sending: impl Future<Output = T>,
    limit: Duration,
    progress: Option<&BodyProgress>,
) -> Result<T, Denial> {
    let mut sending = pin!(sending);
    let mut before = 0;
    loop {
        if let Ok(sent) = timeout(limit, sending.as_mut()).await {
            return Ok(sent);
        }
        match progress.map_or(before, BodyProgress::frames) {
            now if now == before => return Err(Denial::UpstreamLate),
            now => before = now,
        }
    }
}

/// The side that caused a missing response: a broken request body is the peer's fault.
pub(in crate::http) fn denial_for(progress: Option<&BodyProgress>) -> Denial {
    match progress.is_some_and(BodyProgress::is_broken) {
        true => Denial::BadRequest,
        false => Denial::UpstreamBroken,
    }
}
