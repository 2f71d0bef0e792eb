//! Moving bytes between a permitted peer and its upstream, each direction ending on its own.
//!
//! What ends, and how, is passed on: an orderly end of one side's bytes becomes an orderly end for
//! the other side (half-close). A broken side becomes a broken end: a reset for the upstream, and
//! for the peer an end without close_notify, so that neither takes a part for the whole.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use aop_tls::{Permit, Session, Warrant, farewell, socket};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{course::Course, upstream::Connected};

/// How long one direction may stand still after the other has ended. A connection with both
/// directions open may be idle for as long as the far ends live.
const HALF_CLOSED: Duration = Duration::from_secs(15 * 60);

/// What was relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relayed {
    /// Bytes from the peer.
    pub(super) bytes_in: u64,
    /// Bytes to the peer.
    pub(super) bytes_out: u64,
    pub(super) ending: Ending,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Both sides ended their bytes in order.
    Clean,
    /// The peer reset, broke TLS, or ended without close_notify in mid-stream.
    PeerLost,
    /// The upstream reset.
    UpstreamLost,
    /// One side had ended, or an answer had begun, and nothing moved for too long.
    Stalled,
    /// The peer sent what is no HTTP, or may be two kinds of it.
    Malformed,
    /// Draining took too long.
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

/// Relays until both directions have ended, one side is lost, or `cut` is called.
pub(super) async fn relay(permit: Permit, upstream: Connected, cut: &CancellationToken) -> Relayed {
    let (peer, warrant) = permit.into_parts();
    carry(&warrant, peer, upstream, cut).await
}

/// The same for a peer whose connection was something else before.
pub(super) async fn carry(
    _: &Warrant,
    mut peer: Session,
    mut upstream: Connected,
    cut: &CancellationToken,
) -> Relayed {
    let mut course = Course::default();
    let mut clock = pin!(sleep(HALF_CLOSED));
    let going = poll_fn(|context| {
        let ending = course.poll(context, &mut peer, &mut upstream);
        if ending.is_pending() && course.stands_still(context, clock.as_mut(), HALF_CLOSED) {
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
        Ending::PeerLost | Ending::Stalled | Ending::Malformed | Ending::Cut => upstream.sever(),
        Ending::UpstreamLost => {
            upstream.sever();
            // Not a word of close_notify: the peer shall know that there was more to come.
            Box::pin(farewell(socket(peer))).await;
        }
    }
    let (bytes_in, bytes_out) = course.moved();
    Relayed { bytes_in, bytes_out, ending }
}
