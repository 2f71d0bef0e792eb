//! Serves one permitted connection as HTTP, from its first request to its end.
//!
//! ALPN selected the HTTP version. A connection runs in one task; only the streams of HTTP/2 have
//! tasks of their own, which end with the connection.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aop_config::ClientCertForwarding;
use aop_tls::{PeerProtocol, PeerStream, Permit, into_tcp, lingering_close};
use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep, timeout},
};

use super::{
    client_cert,
    denial::Denial,
    desk::Desk,
    headers::Visitors,
    introduction::Introduction,
    pool::Pools,
    stall,
    streams::Streams,
    strict::{Fault, Part},
    upgrade::tunnel,
    wire::{Gauge, Wire},
};
use crate::{
    in_force::{InForce, Lease},
    proxy::ProxyAddresses,
    relay::{Ending, Relayed},
    service::Shared,
};

/// The longest header list in HTTP/2, in bytes as RFC 9113 counts them.
pub(super) const LONGEST_HEAD: u32 = 136 * 1024;
/// Concurrent streams: as many as Cloudflare opens.
const STREAMS: u32 = 200;
/// The flow-control window of one body, from a peer and from an upstream.
pub(super) const STREAM_WINDOW: u32 = 256 * 1024;
/// The flow-control window of a connection. With a smaller one, a few bodies that an application
/// leaves unread would block all others.
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;
/// Streams that a peer may reset before they are accepted; more close the connection.
const RESETS: usize = 20;
/// Streams that aop may reset because of the peer's errors; more close the connection.
const FAULTS: usize = 100;
/// After this idle time, an HTTP/1 connection releases hyper's state, which is most of its memory.
/// The next request costs a microsecond or two more.
const QUIET: Duration = Duration::from_millis(20);
/// The time for an orderly close.
const PARTING: Duration = Duration::from_secs(5);

/// The outcome of a served connection.
pub(crate) struct Served {
    pub(crate) relayed: Relayed,
    pub(crate) requests: u64,
    /// The CF-Ray of the last request.
    pub(crate) ray: Option<String>,
}

/// Serves the requests of a permitted peer until either side ends the connection, its idle time
/// expires, or the lease of its policy ends it.
pub(crate) async fn serve(
    permit: Permit,
    ends: ProxyAddresses,
    visitors: Visitors,
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    accepted: Arc<InForce>,
) -> Served {
    let site = permit.site().clone();
    let certificate = match site.http().map(|http| http.client_cert) {
        Some(ClientCertForwarding::Shown) => permit.certificate().and_then(client_cert::value),
        Some(ClientCertForwarding::Withheld) | None => None,
    };
    let (idle, stall) = match site.http() {
        Some(http) => (http.idle, http.stall),
        None => (Duration::ZERO, Duration::ZERO),
    };
    let introduction = Introduction::new(ends, visitors, permit.handshake());
    let lease = accepted.lease(&permit);
    let (stream, warrant) = permit.into_parts();
    let gauge = Arc::<Gauge>::default();
    let protocol = warrant.protocol();
    let desk =
        Desk::new(shared, pools, accepted, warrant, certificate, introduction, gauge.clone());
    let desk = Arc::new(desk);
    let streams = Streams::default();
    let course =
        Course { desk: &desk, lease: &lease, gauge: &gauge, streams: &streams, idle, stall };
    let ending = match protocol {
        PeerProtocol::Http1 => course.http1(stream).await,
        PeerProtocol::Http2 => course.http2(stream).await,
    };
    let (bytes_in, bytes_out) = gauge.moved();
    let relayed = Relayed { bytes_in, bytes_out, ending };
    Served { relayed, requests: desk.requests(), ray: desk.ray() }
}

struct Course<'a> {
    desk: &'a Arc<Desk>,
    lease: &'a Lease,
    gauge: &'a Arc<Gauge>,
    /// The streams of HTTP/2.
    streams: &'a Streams,
    idle: Duration,
    stall: Duration,
}

impl Course<'_> {
    /// Alternates between serving and resting. The state for serving is many times as large as the
    /// one for resting, and exists only while it is needed.
    async fn http1(&self, stream: PeerStream) -> Ending {
        let mut wire = Wire::http1(stream, self.gauge.clone());
        loop {
            match Box::pin(self.serve_http1(wire)).await {
                Spell::Quiet(quiet) => wire = quiet,
                Spell::Over(ending) => return ending,
            }
            if let Err(ending) = self.rest(&mut wire).await {
                if ending == Ending::Clean {
                    part(wire.into_stream()).await;
                }
                return ending;
            }
        }
    }

    /// Waits for the next request, until the idle time expires.
    async fn rest(&self, wire: &mut Wire) -> Result<(), Ending> {
        tokio::select! {
            biased;
            awake = poll_fn(|context| wire.poll_awake(context)) => match awake {
                Ok(true) => Ok(()),
                Ok(false) => Err(Ending::Clean),
                Err(_) => Err(Ending::PeerLost),
            },
            () = self.lease.cut.cancelled() => Err(Ending::Cut),
            () = self.lease.leave.cancelled() => Err(Ending::Clean),
            () = sleep(self.idle.saturating_sub(self.desk.rested())) => Err(Ending::Clean),
        }
    }

    async fn serve_http1(&self, wire: Wire) -> Spell {
        let wire = TokioIo::new(wire);
        let desk = self.desk.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let desk = desk.clone();
            async move { Ok::<_, Infallible>(desk.answer(request).await) }
        });
        let mut connection = http1::Builder::new()
            // `Wire` bounds the size of the head, `drive` and `rest` bound the idle time.
            .header_read_timeout(None)
            .serve_connection(wire, service)
            .with_upgrades();
        let driving = self.drive(Pin::new(&mut connection), |driven| driven.graceful_shutdown());
        let ending = match driving.await {
            Driven::Quiet => {
                return match connection.into_parts() {
                    Some(parts) => Spell::Quiet(parts.io.into_inner().after(&parts.read_buf)),
                    // The connection has become a tunnel, which is never idle in this sense.
                    None => Spell::Over(Ending::PeerLost),
                };
            }
            Driven::Ended(Ok(())) => match self.desk.take_tunnel() {
                Some((upgrade, to)) => {
                    let relayed = tunnel(self.desk.warrant(), upgrade, to, &self.lease.cut).await;
                    self.gauge.add(relayed.bytes_in, relayed.bytes_out);
                    relayed.ending
                }
                None => Ending::Clean,
            },
            Driven::Faulty(fault) => {
                self.desk.refuse(Denial::from(fault));
                // While a response is under way, the peer would take the error for a part of it.
                let silent = self.desk.is_answering() || self.gauge.is_stuck();
                // Dropping hyper's connection also drops the open requests.
                let parts = connection.into_parts().filter(|_| !silent);
                if let Some(parts) = parts {
                    refuse(parts.io.into_inner().into_stream(), fault).await;
                }
                Ending::Malformed
            }
            Driven::Left(ending) => ending,
            // hyper has sent an error response already.
            Driven::Ended(Err(error)) if error.is_parse_too_large() => {
                self.desk.refuse(Denial::HeadTooLarge);
                Ending::Malformed
            }
            Driven::Ended(Err(error)) if error.is_parse() => {
                self.desk.refuse(Denial::BadRequest);
                Ending::Malformed
            }
            Driven::Ended(Err(_)) => Ending::PeerLost,
        };
        Spell::Over(ending)
    }

    async fn http2(&self, stream: PeerStream) -> Ending {
        let wire = TokioIo::new(Wire::http2(stream, self.gauge.clone()));
        let desk = self.desk.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let desk = desk.clone();
            async move { Ok::<_, Infallible>(desk.answer(request).await) }
        });
        let connection = http2::Builder::new(self.streams.clone())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LONGEST_HEAD)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(FAULTS)
            .serve_connection(wire, service);
        let connection = pin!(connection);
        let driving = self.drive(connection, |driven| driven.graceful_shutdown());
        let ending = match driving.await {
            Driven::Ended(Ok(())) => Ending::Clean,
            Driven::Ended(Err(error)) => {
                tracing::debug!(peer = %self.desk.warrant().peer(), %error, "HTTP/2 failed");
                Ending::PeerLost
            }
            Driven::Faulty(_) => Ending::Malformed,
            Driven::Left(ending) => ending,
            // Never for HTTP/2.
            Driven::Quiet => Ending::Clean,
        };
        self.streams.end();
        ending
    }

    /// Polls a connection. A fault that follows open requests takes effect only after the peer has
    /// received their responses.
    fn poll<C>(&self, connection: Pin<&mut C>, context: &mut Context<'_>) -> Poll<Driven>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        match (connection.poll(context), self.gauge.fault()) {
            (Poll::Ready(ended), _) => Poll::Ready(Driven::Ended(ended)),
            (Poll::Pending, Some((fault, Part::Body))) => Poll::Ready(Driven::Faulty(fault)),
            (Poll::Pending, Some((fault, Part::Head)))
                if !self.desk.is_busy() && !self.gauge.is_stuck() =>
            {
                Poll::Ready(Driven::Faulty(fault))
            }
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    /// Aborts requests whose progress timeout expired. In HTTP/1 that ends the connection.
    fn break_off(&self) -> Option<Ending> {
        let stalled = self.desk.stalled();
        match self.desk.warrant().protocol() {
            PeerProtocol::Http1 => (!stalled.is_empty()).then_some(Ending::Stalled),
            PeerProtocol::Http2 => {
                stalled.into_iter().flatten().for_each(|task| self.streams.abort(task));
                None
            }
        }
    }

    /// Whether an HTTP/1 connection can release hyper's state until the next request.
    fn is_quiet(&self) -> bool {
        self.desk.rested() >= QUIET && self.gauge.is_between()
    }

    /// Drives a connection to its end.
    async fn drive<C>(&self, mut connection: Pin<&mut C>, finish: impl Fn(Pin<&mut C>)) -> Driven
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut leave = pin!(self.lease.leave.cancelled());
        let look = match self.desk.warrant().protocol() {
            PeerProtocol::Http1 => QUIET,
            PeerProtocol::Http2 => self.idle,
        };
        let mut clock = pin!(sleep(self.idle.min(look)));
        let round = stall::pause(self.stall);
        let mut rounds = pin!(sleep(round));
        let mut stage = Stage::Serving;
        loop {
            tokio::select! {
                biased;
                driven = poll_fn(|context| self.poll(connection.as_mut(), context)) => return driven,
                () = self.lease.cut.cancelled() => return Driven::Left(Ending::Cut),
                () = rounds.as_mut() => {
                    if let Some(ending) = self.break_off() {
                        return Driven::Left(ending);
                    }
                    rounds.as_mut().reset(Instant::now() + round);
                }
                () = leave.as_mut(), if stage != Stage::Leaving => {
                    stage = Stage::Leaving;
                    finish(connection.as_mut());
                }
                () = clock.as_mut(), if stage != Stage::Leaving => match stage {
                    Stage::Serving if self.desk.rested() >= self.idle => {
                        stage = Stage::Resting;
                        finish(connection.as_mut());
                        clock.as_mut().reset(Instant::now() + PARTING);
                    }
                    Stage::Serving if self.is_quiet() => return Driven::Quiet,
                    Stage::Resting if !self.desk.is_busy() => return Driven::Left(Ending::Clean),
                    Stage::Serving | Stage::Resting | Stage::Leaving => {
                        let rest = self.idle.saturating_sub(self.desk.rested());
                        clock.as_mut().reset(Instant::now() + rest.max(PARTING).min(look));
                    }
                },
            }
        }
    }
}

/// The state of an HTTP/1 connection after a period of serving.
enum Spell {
    /// Idle for `QUIET`.
    Quiet(Wire),
    Over(Ending),
}

/// Why a connection is no longer driven.
enum Driven {
    /// It is idle for `QUIET`.
    Quiet,
    /// It ended by itself.
    Ended(hyper::Result<()>),
    /// The peer sent bytes that aop refuses to parse.
    Faulty(Fault),
    /// aop ends it.
    Left(Ending),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// The idle time expired, and a graceful shutdown has begun.
    Resting,
    /// The connection drains; only a cut ends it early.
    Leaving,
}

/// Closes a connection in order.
async fn part(mut stream: PeerStream) {
    if let Ok(Err(error)) = timeout(PARTING, stream.shutdown()).await {
        tracing::trace!(%error, "connection failed during close");
    }
}

/// Sends the peer an error response that names the fault, and closes the connection.
async fn refuse(mut stream: PeerStream, fault: Fault) {
    let text = format!("The request is refused: {}.\n", fault.text());
    let answer = format!(
        "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        Denial::from(fault).status(),
        text.len(),
    );
    let sending = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    if let Ok(Ok(())) = timeout(PARTING, sending).await {
        lingering_close(into_tcp(stream)).await;
    }
}
