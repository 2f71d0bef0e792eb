//! The limits of the HTTP relay.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use aop_http::http2;

/// The longest header list, in bytes as RFC 9113, 6.5.2 counts them: Cloudflare sends at most
/// 128 KiB of fields, and there is a request line.
const LONGEST_HEAD: u32 = 136 * 1024;
/// Concurrent streams: as many as Cloudflare opens.
const STREAMS: u32 = 200;
/// The flow-control window of one body, from a peer and from an upstream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The flow-control window of a connection. With a smaller one, a few bodies that an application
/// leaves unread would block all others.
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;

/// A peer's HTTP/2 connection.
pub(super) const SERVER: http2::ConnectionConfig = http2::ConnectionConfig {
    max_streams: STREAMS,
    stream_window: STREAM_WINDOW,
    connection_window: CONNECTION_WINDOW,
    max_head: LONGEST_HEAD,
    extended_connect: http2::ExtendedConnect::Refused,
};

/// The same with a site whose upstream speaks HTTP/1.1: WebSockets can be tunnelled there.
pub(super) const SERVER_WITH_TUNNELS: http2::ConnectionConfig =
    http2::ConnectionConfig { extended_connect: http2::ExtendedConnect::Accepted, ..SERVER };

/// The HTTP/2 connection of a refused peer: small, because anybody can be one.
pub(super) const REFUSED: http2::ConnectionConfig = http2::ConnectionConfig {
    max_streams: 10,
    stream_window: 64 * 1024,
    connection_window: 64 * 1024,
    max_head: 64 * 1024,
    extended_connect: http2::ExtendedConnect::Refused,
};

/// An HTTP/2 connection to an upstream.
pub(crate) const CLIENT: http2::ConnectionConfig = SERVER;

/// Bytes that wait for the peer before nothing more is taken from the upstreams.
pub(super) const OUTPUT: usize = 64 * 1024;
/// A part of a body of this size is written to the peer from where it was read.
pub(super) const WRITTEN_THROUGH: usize = 16 * 1024;
/// Bytes of one request that wait for its upstream before nothing more is taken from the peer.
pub(super) const UPLOAD: usize = 64 * 1024;
/// The longest request that can be sent again, in bytes with its head.
pub(super) const REPEATABLE: usize = 64 * 1024;
/// A buffer of this size may stay allocated at rest.
pub(super) const KEPT_BUFFER: usize = 2 * 1024;
/// After this time at rest, a connection gives its buffers back.
pub(super) const RELEASE_AFTER: Duration = Duration::from_millis(20);
/// The size of one read.
pub(super) const READ: usize = 64 * 1024;

/// After the response, this much of a request's body is still read, so that peers that read the
/// response only after their upload get it.
pub(super) const DRAINED_BYTES: u64 = 64 * 1024 * 1024;
/// The time for that.
pub(super) const DRAINED_FOR: Duration = Duration::from_secs(30);
/// A peer that sends nothing for so long does not go on.
pub(super) const DRAINED_QUIET: Duration = Duration::from_secs(5);
/// The time for an orderly close.
pub(super) const CLOSE: Duration = Duration::from_secs(5);

/// An HTTP/2 upstream that is silent for so long, while a request waits for it, is sent a PING.
pub(super) const PING_AFTER: u64 = 10_000;
/// An upstream that does not answer a PING for so long is gone.
pub(super) const PING_ANSWER: u64 = 10_000;
/// The least time between two PINGs: gRPC servers end connections with more than one in 5 minutes.
pub(super) const PING_INTERVAL: u64 = 310_000;

/// The largest number of idle connections to an upstream, for one worker: enough for a few edges
/// with 200 streams each, which would connect anew for each request otherwise.
pub(super) const IDLE_CONNECTIONS: usize = 512;
/// How long an idle connection is kept, if the upstream does not say.
pub(super) const REST: Duration = Duration::from_secs(60);
/// A connection rests for this much less than the upstream announces, so that no request meets its
/// close.
const MARGIN: Duration = Duration::from_secs(1);

/// The beginning of the clock that all connections share.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time in milliseconds, for rates and deadlines.
pub(super) fn now() -> u64 {
    BEGAN.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}

/// How long a connection may rest whose upstream announced `timeout` seconds.
pub(super) fn rest(timeout: Option<u64>) -> Duration {
    let announced = timeout.map(|seconds| Duration::from_secs(seconds).saturating_sub(MARGIN));
    announced.map_or(REST, |announced| announced.min(REST))
}
