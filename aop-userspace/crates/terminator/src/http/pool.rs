//! The connections to one upstream, kept and bounded, and a request's way over one of them.

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

use super::{
    answer::Source,
    denial::Denial,
    inbound::{Inbound, Progress},
    line::{Busy, Line, Purpose, Sent},
    multiplex::{Multiplex, Spawner},
    upgrade::Tunnel,
};
use crate::upstream::{Connected, connect, lacks_descriptors};

/// Idle connections that an upstream keeps at most.
const KEPT: usize = 128;
/// How long a connection is kept idle.
const REST: Duration = Duration::from_secs(60);
/// How often that is looked after.
const ROUND: Duration = Duration::from_secs(5);
/// A connection that has rested for longer may be closed by the upstream at any moment: a request
/// that is lost so is sent again.
const FRESH: Duration = Duration::from_secs(1);

/// The pools of all upstreams, for the connections of one thread.
pub(crate) struct Pools {
    pools: Mutex<HashMap<(HttpUpstream, usize), Arc<Pool>>>,
    slots: Arc<Slots>,
    /// What drives shared connections.
    spawner: Spawner,
}

/// How many requests may be with an upstream at once, by all threads together.
#[derive(Default)]
pub(crate) struct Slots(Mutex<HashMap<(HttpUpstream, usize), Arc<Semaphore>>>);

/// The connections to one upstream.
pub(super) struct Pool {
    upstream: HttpUpstream,
    slots: Arc<Semaphore>,
    lines: Mutex<Vec<Line>>,
    multiplex: Multiplex,
}

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A connection.
    pub(super) connect: Duration,
    /// The beginning of an answer, since the request has moved last.
    pub(super) answer: Duration,
}

/// An answer that has begun.
pub(super) struct Relayed {
    pub(super) response: Response<()>,
    pub(super) source: Source,
    pub(super) slot: OwnedSemaphorePermit,
}

/// What an upstream says to a request.
pub(super) enum Said {
    Answer(Relayed),
    /// 101: from here on it is bytes.
    Tunnel(Response<()>, Tunnel),
}

impl Slots {
    fn of(&self, key: &(HttpUpstream, usize)) -> Arc<Semaphore> {
        let mut slots = held(&self.0);
        // Those of upstreams that nobody uses any more go when a new one comes.
        if !slots.contains_key(key) {
            slots.retain(|_, slots| Arc::strong_count(slots) > 1);
        }
        slots.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(key.1))).clone()
    }
}

impl Pools {
    /// None yet; what is in use counts against `slots`.
    pub(crate) fn new(slots: Arc<Slots>) -> Self {
        Self { pools: Mutex::default(), slots, spawner: Spawner::default() }
    }

    /// The pool of an upstream.
    pub(super) fn of(&self, http: &HttpConfig) -> Arc<Pool> {
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

    /// Lets go, for ever, of connections that have rested for too long, and of upstreams that
    /// nobody uses any more.
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

    /// Lets go of everything.
    pub(crate) async fn close(&self) {
        held(&self.pools).clear();
        self.spawner.close().await;
    }
}

impl Pool {
    /// Sends a request under a `warrant` and waits for the head of its answer. With a PROXY `header`
    /// it goes over a connection of its own.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn relay(
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
                    tracing::debug!(upstream = %self.upstream, ?error, "no answer");
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

    async fn connect(&self, patience: Duration, header: &[u8]) -> Result<Connected, Denial> {
        match timeout(patience, connect(&self.upstream.address, header)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                tracing::debug!(upstream = %self.upstream, %error, "no connection");
                Err(match lacks_descriptors(&error) {
                    true => Denial::NoDescriptor,
                    false => Denial::UpstreamUnreachable,
                })
            }
            Err(_) => Err(Denial::UpstreamLate),
        }
    }

    /// The connection that was used last, if one still stands.
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
    pub(super) fn put(&self, line: Line) {
        let mut lines = held(&self.lines);
        if lines.len() < KEPT {
            lines.push(line);
        }
    }
}

/// Whether a connection that has served before will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Welcome,
    Refused,
}

/// A request that may be sent twice: it asks for nothing to be done, and has no body.
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

/// The outcome of `sending`, if it comes before neither side has moved for `patience`.
pub(super) async fn in_time<T>(
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

/// Whose fault it is that a request found no answer.
pub(super) fn blame(progress: Option<&Progress>) -> Denial {
    match progress.is_some_and(Progress::is_broken) {
        true => Denial::BadRequest,
        false => Denial::UpstreamBroken,
    }
}

/// Usable whatever happened to a thread that held it.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
