//! The pool of connections to an upstream: keeps idle ones, bounds open requests, sends requests.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use aop_config::{HttpConfig, HttpUpstream, HttpVersion};
use aop_tls::Warrant;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, http::request::Parts};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use crate::http::{
    denial::Denial,
    request_body::{Inbound, Progress},
    response_body::Source,
    upstream::http1::{Busy, Line, Purpose, Sent},
    upstream::http2::{Multiplex, Spawner},
    websocket::Tunnel,
};
use crate::upstream::{UpstreamStream, connect, lacks_descriptors};

/// The largest number of idle connections to an upstream.
const KEPT: usize = 128;
/// How long an idle connection is kept.
const REST: Duration = Duration::from_secs(60);
/// The interval of removing expired connections.
const ROUND: Duration = Duration::from_secs(5);
/// The upstream may close a connection at any moment that was idle for longer. A request that is
/// lost for this reason is sent again.
const FRESH: Duration = Duration::from_secs(1);

/// The pools of all upstreams, for one worker.
pub(crate) struct Pools {
    pools: Mutex<HashMap<(HttpUpstream, usize), Arc<Pool>>>,
    slots: Arc<Slots>,
    /// Runs the tasks of HTTP/2 connections.
    spawner: Spawner,
}

/// The bound on open requests of each upstream, shared by all workers.
#[derive(Default)]
pub(crate) struct Slots(Mutex<HashMap<(HttpUpstream, usize), Arc<Semaphore>>>);

/// The connections to one upstream.
pub(crate) struct Pool {
    upstream: HttpUpstream,
    slots: Arc<Semaphore>,
    lines: Mutex<Vec<Line>>,
    multiplex: Multiplex,
}

/// The timeouts of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// To connect to the upstream.
    pub(crate) connect: Duration,
    /// Until the response begins, counted from the last progress of the request.
    pub(crate) answer: Duration,
}

/// A response that has begun.
pub(crate) struct Relayed {
    pub(crate) response: Response<()>,
    pub(crate) source: Source,
    pub(crate) slot: OwnedSemaphorePermit,
}

/// The upstream's reply to a request.
pub(crate) enum Said {
    Answer(Relayed),
    /// 101: a tunnel of bytes follows.
    Tunnel(Response<()>, Tunnel),
}

impl Slots {
    fn of(&self, key: &(HttpUpstream, usize)) -> Arc<Semaphore> {
        let mut slots = held(&self.0);
        // A new upstream is the occasion to remove those that are no longer used.
        if !slots.contains_key(key) {
            slots.retain(|_, slots| Arc::strong_count(slots) > 1);
        }
        slots.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(key.1))).clone()
    }
}

impl Pools {
    /// Empty pools; their open requests count against `slots`.
    pub(crate) fn new(slots: Arc<Slots>) -> Self {
        Self { pools: Mutex::default(), slots, spawner: Spawner::default() }
    }

    /// The pool of an upstream.
    pub(crate) fn of(&self, http: &HttpConfig) -> Arc<Pool> {
        let key = (http.upstream.clone(), http.requests);
        held(&self.pools)
            .entry(key)
            .or_insert_with_key(|key| {
                Arc::new(Pool {
                    upstream: http.upstream.clone(),
                    slots: self.slots.of(key),
                    lines: Mutex::default(),
                    multiplex: Multiplex::new(self.spawner.clone(), http.requests),
                })
            })
            .clone()
    }

    /// Periodically closes connections that were idle for too long, and removes unused upstreams.
    /// Never returns.
    pub(crate) async fn tend(self: Arc<Self>) {
        loop {
            sleep(ROUND).await;
            held(&self.pools).retain(|_, pool| {
                let mut lines = held(&pool.lines);
                lines.retain(|line| line.rested() < REST);
                Arc::strong_count(pool) > 1 || !lines.is_empty()
            });
        }
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        held(&self.pools).clear();
        self.spawner.close().await;
    }
}

impl Pool {
    /// Sends a request under a [`Warrant`] and waits for the head of the response. A request with a
    /// PROXY `header` gets a connection of its own.
    ///
    /// # Errors
    /// There is no response.
    pub(crate) async fn relay(
        self: &Arc<Self>,
        _: &Warrant,
        request: Request<Inbound>,
        patience: Patience,
        header: Option<Vec<u8>>,
    ) -> Result<Said, Denial> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| Denial::UpstreamBusy)?;
        match self.upstream.version {
            HttpVersion::Http1 => self.by_line(request, slot, patience, header).await,
            HttpVersion::H2c => {
                let connect = || self.connect(patience.connect, &[]);
                let response = self.multiplex.send(request, patience, connect).await?;
                let (head, body) = response.into_parts();
                let response = Response::from_parts(head, ());
                Ok(Said::Answer(Relayed { response, source: Source::Stream(body), slot }))
            }
        }
    }

    async fn by_line(
        self: &Arc<Self>,
        mut request: Request<Inbound>,
        slot: OwnedSemaphorePermit,
        patience: Patience,
        header: Option<Vec<u8>>,
    ) -> Result<Said, Denial> {
        let progress = request.body().progress();
        let mut kept = if header.is_none() { Kept::Welcome } else { Kept::Refused };
        let (header, purpose) = match &header {
            None => (&[][..], Purpose::Any),
            Some(header) => (&header[..], Purpose::One),
        };
        loop {
            let (mut line, again) = match poll_fn(|context| self.take(kept, context)).await {
                Some(line) => {
                    let again = (line.rested() > FRESH).then(|| copy(&request)).flatten();
                    (line, again)
                }
                None => {
                    kept = Kept::Refused;
                    let stream = self.connect(patience.connect, header).await?;
                    (Line::open(stream, purpose).await.map_err(|_| Denial::UpstreamBroken)?, None)
                }
            };
            let sent = in_time(line.send(request), patience.answer, progress.as_deref()).await;
            request = match (sent?, again) {
                (Sent::Answered(response), _) => return self.answered(response, line, slot).await,
                (Sent::Unsent(request), _) if kept == Kept::Welcome => *request,
                (Sent::Failed(_), Some(again)) => {
                    kept = Kept::Refused;
                    again
                }
                (Sent::Unsent(_), _) => return Err(Denial::UpstreamBroken),
                (Sent::Failed(error), None) => {
                    tracing::debug!(upstream = %self.upstream, ?error, "no response");
                    return Err(blame(progress.as_deref()));
                }
            };
        }
    }

    async fn answered(
        self: &Arc<Self>,
        response: Response<Incoming>,
        line: Line,
        slot: OwnedSemaphorePermit,
    ) -> Result<Said, Denial> {
        let (head, body) = response.into_parts();
        let response = Response::from_parts(head, ());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let (stream, read) = line.into_parts();
            return Ok(Said::Tunnel(response, Tunnel { stream, read, slot }));
        }
        let source = Source::Line(Box::new(Busy::new(body, line, self.clone()).await));
        Ok(Said::Answer(Relayed { response, source, slot }))
    }

    async fn connect(&self, patience: Duration, header: &[u8]) -> Result<UpstreamStream, Denial> {
        match timeout(patience, connect(&self.upstream.address, header)).await {
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
    fn take(&self, kept: Kept, context: &mut Context<'_>) -> Poll<Option<Line>> {
        if kept == Kept::Welcome {
            let mut lines = held(&self.lines);
            while let Some(mut line) = lines.pop() {
                if line.stands(context) {
                    return Poll::Ready(Some(line));
                }
            }
        }
        Poll::Ready(None)
    }

    /// Keeps an idle connection.
    pub(crate) fn put(&self, line: Line) {
        let mut lines = held(&self.lines);
        if lines.len() < KEPT {
            lines.push(line);
        }
    }
}

/// Whether an idle connection may be reused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Welcome,
    Refused,
}

/// A copy of a request that is safe to send twice: its method is safe (RFC 9110, 9.2.1), and it has
/// no body.
fn copy(request: &Request<Inbound>) -> Option<Request<Inbound>> {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    (safe && request.body().progress().is_none()).then(|| {
        let (mut head, ()) = Request::new(()).into_parts();
        let Parts { method, uri, version, headers, .. } = &mut head;
        *method = request.method().clone();
        *uri = request.uri().clone();
        *version = request.version();
        *headers = request.headers().clone();
        Request::from_parts(head, Inbound::empty())
    })
}

/// Waits for `sending` as long as the request makes progress within each `patience`.
pub(crate) async fn in_time<T>(
    sending: impl Future<Output = T>,
    patience: Duration,
    progress: Option<&Progress>,
) -> Result<T, Denial> {
    let mut sending = pin!(sending);
    let mut before = 0;
    loop {
        if let Ok(sent) = timeout(patience, sending.as_mut()).await {
            return Ok(sent);
        }
        match progress.map_or(before, Progress::frames) {
            now if now == before => return Err(Denial::UpstreamLate),
            now => before = now,
        }
    }
}

/// The side that caused a missing response: a broken request body is the peer's fault.
pub(crate) fn blame(progress: Option<&Progress>) -> Denial {
    match progress.is_some_and(Progress::is_broken) {
        true => Denial::BadRequest,
        false => Denial::UpstreamBroken,
    }
}

/// Locks `mutex`, poisoned or not.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
