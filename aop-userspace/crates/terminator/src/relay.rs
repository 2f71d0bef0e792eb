//! Copies bytes between a permitted peer and its upstream; each direction ends on its own.
//!
//! The relay passes each end on in kind. An orderly end of one side becomes an orderly end for the
//! other side (half-close). A failure becomes a failure: a reset for the upstream, and an end
//! without close_notify for the peer, so that neither side takes truncated data for complete data.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use aop_tls::{PeerStream, Permit, Warrant, into_tcp, lingering_close};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

mod copy_direction;
mod tunnel;

use tunnel::Tunnel;

use super::upstream::UpstreamStream;

/// The progress timeout of one direction after the other has ended. A connection with both
/// directions open may be idle for any time.
const HALF_CLOSED: Duration = Duration::from_secs(15 * 60);

/// The bytes that were relayed, and how the relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RelayOutcome {
    /// Bytes from the peer.
    pub(super) bytes_in: u64,
    /// Bytes to the peer.
    pub(super) bytes_out: u64,
    pub(super) ending: Ending,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Both sides ended in order.
    Clean,
    /// The peer sent a reset, violated TLS, or ended without close_notify in mid-stream.
    PeerLost,
    /// The upstream sent a reset.
    UpstreamLost,
    /// The progress timeout expired: one side had ended, or a response had begun.
    Stalled,
    /// The peer sent malformed or ambiguous HTTP.
    Malformed,
    /// Draining exceeded its deadline.
    Cut,
}

impl Ending {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::PeerLost => "peer_lost",
            Self::UpstreamLost => "upstream_lost",
            Self::Stalled => "stalled",
            Self::Malformed => "malformed",
            Self::Cut => "cut",
        }
    }
}

/// Relays until both directions have ended, one side fails, or `cut` is cancelled.
pub(super) async fn relay(
    permit: Permit,
    upstream: UpstreamStream,
    cut: &CancellationToken,
) -> RelayOutcome {
    let (peer, warrant) = permit.into_parts();
    relay_upgraded(&warrant, peer, upstream, cut).await
}

/// The same for a peer whose connection was an HTTP connection before.
pub(super) async fn relay_upgraded(
    _: &Warrant,
    mut peer: PeerStream,
    mut upstream: UpstreamStream,
    cut: &CancellationToken,
) -> RelayOutcome {
    let mut tunnel = Tunnel::default();
    let mut clock = pin!(sleep(HALF_CLOSED));
    let going = poll_fn(|context| {
        let ending = tunnel.poll(context, &mut peer, &mut upstream);
        if ending.is_pending() && tunnel.has_stalled(context, clock.as_mut(), HALF_CLOSED) {
            return Poll::Ready(Ending::Stalled);
        }
        ending
    });
    let ending = tokio::select! {
        biased;
        () = cut.cancelled() => Ending::Cut,
        ending = going => ending,
    };
    match ending {
        Ending::Clean => {}
        Ending::PeerLost | Ending::Stalled | Ending::Malformed | Ending::Cut => upstream.reset(),
        Ending::UpstreamLost => {
            upstream.reset();
            // Without close_notify the peer knows that the data is truncated.
            Box::pin(lingering_close(into_tcp(peer))).await;
        }
    }
    let (bytes_in, bytes_out) = tunnel.moved();
    RelayOutcome { bytes_in, bytes_out, ending }
}
