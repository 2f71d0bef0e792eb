//! Serves one permitted connection as HTTP, from its first request to its end.
//!
//! ALPN selected the HTTP version. A connection runs in one task; only the streams of HTTP/2 have
//! tasks of their own, which end with the connection.

mod drive;

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use aop_config::ClientCertForwarding;
use aop_tls::{PeerProtocol, PeerStream, Permit, into_tcp, lingering_close};
use drive::DriveOutcome;
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

use super::{
    checked_stream::{CheckedStream, Readable, StreamStats},
    client_cert,
    denial::Denial,
    forwarded_visitor::ForwardedVisitor,
    headers::VisitorTrust,
    request_handler::HttpRequestHandler,
    response_body::ResponseBody,
    smuggling_guard::FramingFault,
    stream_tasks::StreamTasks,
    upstream::Pools,
    websocket::relay_tunnel,
};
use crate::{
    accept_policy::{AcceptPolicy, ShutdownTokens},
    proxy::ProxyAddresses,
    relay::{Ending, RelayOutcome},
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
/// The time for an orderly close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The outcome of a served connection.
pub(crate) struct Served {
    pub(crate) relayed: RelayOutcome,
    pub(crate) requests: u64,
    /// The CF-Ray of the last request.
    pub(crate) ray: Option<String>,
}

/// Serves the requests of a permitted peer until either side ends the connection, its idle time
/// expires, or the shutdown tokens of its policy end it.
pub(crate) async fn serve(
    permit: Permit,
    addresses: ProxyAddresses,
    visitor_trust: VisitorTrust,
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    accept_policy: Arc<AcceptPolicy>,
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
    let forwarded = ForwardedVisitor::new(addresses, visitor_trust, permit.handshake());
    let tokens = accept_policy.tokens(&permit);
    let (stream, warrant) = permit.into_parts();
    let stats = Arc::<StreamStats>::default();
    let protocol = warrant.protocol();
    let handler = HttpRequestHandler::new(
        shared,
        pools,
        accept_policy,
        warrant,
        certificate,
        forwarded,
        stats.clone(),
    );
    let handler = Arc::new(handler);
    let streams = StreamTasks::default();
    let connection = HttpConnection {
        handler: &handler,
        tokens: &tokens,
        stats: &stats,
        streams: &streams,
        idle,
        stall,
    };
    let ending = match protocol {
        PeerProtocol::Http1 => connection.http1(stream).await,
        PeerProtocol::Http2 => connection.http2(stream).await,
    };
    let (bytes_in, bytes_out) = stats.moved();
    let relayed = RelayOutcome { bytes_in, bytes_out, ending };
    Served { relayed, requests: handler.requests(), ray: handler.ray() }
}

struct HttpConnection<'a> {
    handler: &'a Arc<HttpRequestHandler>,
    tokens: &'a ShutdownTokens,
    stats: &'a Arc<StreamStats>,
    /// The streams of HTTP/2.
    streams: &'a StreamTasks,
    idle: Duration,
    stall: Duration,
}

impl HttpConnection<'_> {
    /// Alternates between serving and waiting. The state for serving is many times as large as the
    /// one for waiting, and exists only while it is needed.
    async fn http1(&self, stream: PeerStream) -> Ending {
        let mut stream = CheckedStream::http1(stream, self.stats.clone());
        loop {
            match Box::pin(self.serve_http1(stream)).await {
                Http1State::Idle(idle) => stream = idle,
                Http1State::Ended(ending) => return ending,
            }
            if let Err(ending) = self.wait_idle(&mut stream).await {
                if ending == Ending::Clean {
                    close(stream.into_stream()).await;
                }
                return ending;
            }
        }
    }

    /// Waits for the next request, until the idle time expires.
    async fn wait_idle(&self, stream: &mut CheckedStream) -> Result<(), Ending> {
        tokio::select! {
            biased;
            readable = poll_fn(|context| stream.poll_readable(context)) => match readable {
                Ok(Readable::Bytes) => Ok(()),
                Ok(Readable::End) => Err(Ending::Clean),
                Err(_) => Err(Ending::PeerLost),
            },
            () = self.tokens.cut.cancelled() => Err(Ending::Cut),
            () = self.tokens.drain.cancelled() => Err(Ending::Clean),
            () = sleep(self.idle.saturating_sub(self.handler.idle_time())) => Err(Ending::Clean),
        }
    }

    async fn serve_http1(&self, stream: CheckedStream) -> Http1State {
        let stream = TokioIo::new(stream);
        let handler = self.handler.clone();
        let service = service_fn(move |request| respond(handler.clone(), request));
        let mut connection = http1::Builder::new()
            // `CheckedStream` bounds the size of the head, `drive` and `wait_idle` the idle time.
            .header_read_timeout(None)
            .serve_connection(stream, service)
            .with_upgrades();
        let driving = self.drive(Pin::new(&mut connection), |driven| driven.graceful_shutdown());
        let ending = match driving.await {
            DriveOutcome::Idle => {
                return match connection.into_parts() {
                    Some(parts) => {
                        Http1State::Idle(parts.io.into_inner().with_read_ahead(&parts.read_buf))
                    }
                    // The connection has become a tunnel, which is never idle in this sense.
                    None => Http1State::Ended(Ending::PeerLost),
                };
            }
            DriveOutcome::Ended(Ok(())) => match self.handler.take_tunnel() {
                Some((upgrade, to)) => {
                    let relayed =
                        relay_tunnel(self.handler.warrant(), upgrade, to, &self.tokens.cut).await;
                    self.stats.add(relayed.bytes_in, relayed.bytes_out);
                    relayed.ending
                }
                None => Ending::Clean,
            },
            DriveOutcome::Faulty(fault) => {
                self.handler.record_malformed(Denial::from(fault));
                // While a response is under way, the peer would take the error for a part of it.
                let silent = self.handler.is_responding() || self.stats.is_write_pending();
                // Dropping hyper's connection also drops the open requests.
                let parts = connection.into_parts().filter(|_| !silent);
                if let Some(parts) = parts {
                    send_fault(parts.io.into_inner().into_stream(), fault).await;
                }
                Ending::Malformed
            }
            DriveOutcome::Stopped(ending) => ending,
            // hyper has sent an error response already.
            DriveOutcome::Ended(Err(error)) if error.is_parse_too_large() => {
                self.handler.record_malformed(Denial::HeadTooLarge);
                Ending::Malformed
            }
            DriveOutcome::Ended(Err(error)) if error.is_parse() => {
                self.handler.record_malformed(Denial::BadRequest);
                Ending::Malformed
            }
            DriveOutcome::Ended(Err(_)) => Ending::PeerLost,
        };
        Http1State::Ended(ending)
    }

    async fn http2(&self, stream: PeerStream) -> Ending {
        let stream = TokioIo::new(CheckedStream::http2(stream, self.stats.clone()));
        let handler = self.handler.clone();
        let service = service_fn(move |request| respond(handler.clone(), request));
        let connection = http2::Builder::new(self.streams.clone())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LONGEST_HEAD)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(FAULTS)
            .serve_connection(stream, service);
        let connection = pin!(connection);
        let driving = self.drive(connection, |driven| driven.graceful_shutdown());
        let ending = match driving.await {
            DriveOutcome::Ended(Ok(())) => Ending::Clean,
            DriveOutcome::Ended(Err(error)) => {
                tracing::debug!(peer = %self.handler.warrant().peer(), %error, "HTTP/2 failed");
                Ending::PeerLost
            }
            DriveOutcome::Faulty(_) => Ending::Malformed,
            DriveOutcome::Stopped(ending) => ending,
            // Never for HTTP/2.
            DriveOutcome::Idle => Ending::Clean,
        };
        self.streams.abort_all();
        ending
    }
}

/// The state of an HTTP/1 connection after a period of serving.
enum Http1State {
    /// Idle long enough to release hyper's state.
    Idle(CheckedStream),
    Ended(Ending),
}

async fn respond(
    handler: Arc<HttpRequestHandler>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    Ok(handler.handle(request).await)
}

/// Closes a connection in order.
async fn close(mut stream: PeerStream) {
    if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, stream.shutdown()).await {
        tracing::trace!(%error, "connection failed during close");
    }
}

/// Sends the peer an error response that names the fault, and closes the connection.
async fn send_fault(mut stream: PeerStream, fault: FramingFault) {
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
    if let Ok(Ok(())) = timeout(CLOSE_TIMEOUT, sending).await {
        lingering_close(into_tcp(stream)).await;
    }
}
