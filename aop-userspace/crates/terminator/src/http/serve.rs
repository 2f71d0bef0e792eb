//! Serves one permitted connection as HTTP, from its first request to its end.
//!
//! ALPN selected the HTTP version. One task runs the connection with all its streams.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use aop_config::{ClientCertForwarding, HttpVersion};
use aop_tls::{PeerProtocol, PeerStream, Permit, Warrant, into_tcp, lingering_close};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep_until, timeout},
};

use super::{
    client_cert,
    forwarded_visitor::ForwardedVisitor,
    headers::VisitorTrust,
    limits,
    peer::Peer,
    relay::{HttpRelay, RelayEnd, UpstreamTunnel},
    request_policy::{RequestPolicy, escaped},
    upstream::Pools,
};
use crate::{
    accept_policy::ShutdownTokens,
    counters::SiteCounters,
    proxy::ProxyAddresses,
    relay::{Ending, RelayOutcome, relay_upgraded},
    service::Shared,
};

/// The outcome of a served connection.
pub(crate) struct Served {
    pub(crate) relayed: RelayOutcome,
    pub(crate) requests: u64,
    /// The CF-Ray of the last request.
    pub(crate) ray: Option<String>,
}

/// Why a relay is no longer driven.
enum Driven {
    Ended(RelayEnd),
    /// The idle time expired.
    Idle,
    Cut,
}

/// Serves the requests of a permitted peer until either side ends the connection, its idle time
/// expires, or `tokens` end it.
///
/// A future stores its arguments for as long as it lives. So the call itself uses them up, and the
/// future of an idle connection is small.
pub(crate) fn serve(
    permit: Permit,
    addresses: ProxyAddresses,
    visitor_trust: VisitorTrust,
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    site_counters: Arc<SiteCounters>,
    tokens: ShutdownTokens,
) -> impl Future<Output = Served> {
    let site = permit.site().clone();
    let certificate = match site.http().map(|http| http.client_cert) {
        Some(ClientCertForwarding::Shown) => permit.certificate().map(client_cert::value),
        Some(ClientCertForwarding::Withheld) | None => None,
    };
    let (idle, stall) = match site.http() {
        Some(http) => (http.idle, http.stall),
        None => (Duration::ZERO, Duration::ZERO),
    };
    let forwarded = ForwardedVisitor::new(addresses, visitor_trust);
    let (stream, warrant) = permit.into_parts();
    let peer = match warrant.protocol() {
        PeerProtocol::Http1 => Peer::http1(),
        PeerProtocol::Http2 => Peer::http2(match site.http().map(|http| http.upstream.version) {
            Some(HttpVersion::Http1) => limits::SERVER_WITH_TUNNELS,
            Some(HttpVersion::H2c) | None => limits::SERVER,
        }),
    };
    let policy = RequestPolicy::new(shared, pools, site_counters, warrant, certificate, forwarded);
    let mut relay = Box::new(HttpRelay::new(policy, stream, peer));
    async move {
        let driven = drive(&mut relay, &tokens, idle, stall).await;
        Box::pin(end(relay, driven, &tokens)).await
    }
}

/// Drives a relay to its end: deadlines, idle time and shutdown.
async fn drive(
    relay: &mut HttpRelay,
    tokens: &ShutdownTokens,
    idle: Duration,
    stall: Duration,
) -> Driven {
    let mut cut = pin!(tokens.cut.cancelled());
    let mut drain = pin!(tokens.drain.cancelled());
    let mut rest = pin!(tokens.rest.cancelled());
    let mut closing = Closing::No;
    let mut resting_since = Instant::now();
    let mut alarm = pin!(sleep_until(resting_since + idle));
    // The deadlines are checked this often; a request may last longer than its limit by this much.
    let interval = (idle.min(stall) / 4).clamp(Duration::from_millis(50), Duration::from_secs(1));
    let (mut was_busy, mut requests) = (false, 0);
    poll_fn(|context| {
        if cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Driven::Cut);
        }
        if closing == Closing::No && drain.as_mut().poll(context).is_ready() {
            closing = Closing::Announced;
            relay.announce_end();
        }
        loop {
            if let Poll::Ready(end) = relay.poll(context) {
                return Poll::Ready(Driven::Ended(end));
            }
            let busy = relay.is_busy();
            let now = Instant::now();
            if busy != was_busy || relay.stats.requests != requests {
                (was_busy, requests) = (busy, relay.stats.requests);
                resting_since = now;
                let next = now + if busy { interval } else { idle.min(limits::RELEASE_AFTER) };
                if alarm.deadline() > next {
                    alarm.as_mut().reset(next);
                }
            }
            let drained =
                closing == Closing::Announced && (busy || rest.as_mut().poll(context).is_ready());
            let expired = !busy && now >= resting_since + closing.patience(idle);
            if expired && closing == Closing::Begun {
                return Poll::Ready(Driven::Idle);
            }
            if drained || expired {
                // A request that the peer sent before it knows is still served.
                closing = Closing::Begun;
                relay.shut_down();
                resting_since = now;
                alarm.as_mut().reset(now + closing.patience(idle).min(interval));
                continue;
            }
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let next = if busy {
                relay.check_deadlines(stall);
                if relay.last_words() == Some(RelayEnd::Stalled) {
                    // A peer that does not read takes no last bytes either.
                    return Poll::Ready(Driven::Ended(RelayEnd::Stalled));
                }
                now + interval
            } else {
                relay.release_memory();
                resting_since + closing.patience(idle)
            };
            alarm.as_mut().reset(next);
        }
    })
    .await
}

/// How far a connection is with its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    /// Its policy drains. If it is idle, a request may be on its way.
    Announced,
    /// No request begins but those that the peer has sent already.
    Begun,
}

impl Closing {
    /// How long the connection may be idle. A peer may never acknowledge that it ends.
    fn patience(self, idle: Duration) -> Duration {
        match self {
            Self::No | Self::Announced => idle,
            Self::Begun => limits::CLOSE.min(idle),
        }
    }
}

/// Ends a connection as its relay ended.
async fn end(relay: Box<HttpRelay>, driven: Driven, tokens: &ShutdownTokens) -> Served {
    let driven = match (driven, relay.last_words()) {
        (Driven::Idle, Some(end)) => Driven::Ended(end),
        (driven, _) => driven,
    };
    let (policy, stream, input, tunnel, stats) = relay.into_parts();
    let (mut bytes_in, mut bytes_out) = (stats.bytes_in, stats.bytes_out);
    let ending = match (driven, tunnel) {
        (Driven::Ended(RelayEnd::Tunnel), Some(tunnel)) => {
            let relayed = run_tunnel(policy.warrant(), stream, &input, tunnel, tokens).await;
            bytes_in += relayed.bytes_in;
            bytes_out += relayed.bytes_out;
            relayed.ending
        }
        (Driven::Ended(RelayEnd::PeerEnded), _) => {
            close(stream).await;
            Ending::Clean
        }
        (Driven::Ended(RelayEnd::Finished | RelayEnd::Unread) | Driven::Idle, _) => {
            close_reading(stream).await;
            Ending::Clean
        }
        (Driven::Ended(RelayEnd::Malformed), _) => {
            close_reading(stream).await;
            Ending::Malformed
        }
        (Driven::Ended(RelayEnd::Stalled), _) => Ending::Stalled,
        (Driven::Ended(RelayEnd::Incomplete), _) => {
            // Without close_notify the peer knows that the response is truncated.
            Box::pin(lingering_close(into_tcp(stream))).await;
            Ending::UpstreamLost
        }
        (Driven::Ended(RelayEnd::PeerLost | RelayEnd::Tunnel), _) => Ending::PeerLost,
        (Driven::Cut, _) => Ending::Cut,
    };
    let relayed = RelayOutcome { bytes_in, bytes_out, ending };
    let ray = (!stats.ray.is_empty()).then(|| escaped(&stats.ray));
    Served { relayed, requests: stats.requests, ray }
}

/// Relays bytes between peer and upstream, after the upstream's 101.
async fn run_tunnel(
    warrant: &Warrant,
    mut peer: PeerStream,
    sent: &[u8],
    tunnel: UpstreamTunnel,
    tokens: &ShutdownTokens,
) -> RelayOutcome {
    let lost = RelayOutcome { bytes_in: 0, bytes_out: 0, ending: Ending::PeerLost };
    let UpstreamTunnel { stream: mut upstream, read, permit: _permit } = tunnel;
    let handing_over = async {
        peer.write_all(&read).await?;
        peer.flush().await?;
        upstream.write_all(sent).await
    };
    match tokens.cut.run_until_cancelled(handing_over).await {
        Some(Ok(())) => relay_upgraded(warrant, peer, upstream, &tokens.cut).await,
        Some(Err(_)) => lost,
        None => RelayOutcome { ending: Ending::Cut, ..lost },
    }
}

/// Closes a connection in order.
async fn close(mut stream: PeerStream) {
    if let Ok(Err(error)) = timeout(limits::CLOSE, stream.shutdown()).await {
        tracing::trace!(%error, "connection failed during close");
    }
}

/// Closes a connection whose peer may still send: an answer to bytes that were not read would be
/// lost otherwise.
async fn close_reading(mut stream: PeerStream) {
    if let Ok(Ok(())) = timeout(limits::CLOSE, stream.shutdown()).await {
        Box::pin(lingering_close(into_tcp(stream))).await;
    }
}
