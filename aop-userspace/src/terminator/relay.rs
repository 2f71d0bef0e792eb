//! Moving bytes between a permitted peer and its upstream, each direction ending on its own.
//!
//! What ends, and how, is passed on: an orderly end of one side's bytes becomes an orderly end for
//! the other side (half-close). A broken side becomes a broken end: a reset for the upstream, and
//! for the peer an end without close_notify, so that neither takes a part for the whole.
//!
//! A peer that ends TCP without close_notify may have been cut off by anybody on the way. If it had
//! spoken last, that is a broken end; if the upstream had, or nobody, the connection was idle, and
//! plenty of peers end idle connections like that.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    flow::{Broken, Flow},
    upstream::Sever,
};
use crate::tls::Permit;

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
    /// One side had ended, and the other stood still for too long.
    Stalled,
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
            Self::Cut => "cut",
        }
    }
}

/// Relays until both directions have ended, one side is lost, or `cut` is called.
pub(super) async fn relay<U: Sever>(
    permit: Permit,
    mut upstream: U,
    cut: &CancellationToken,
) -> Relayed {
    let mut peer = permit.into_stream();
    let mut course = Course::default();
    let mut clock = pin!(sleep(HALF_CLOSED));
    let going = poll_fn(|context| {
        let ending = course.poll(context, &mut peer, &mut upstream);
        if ending.is_pending() && course.stands_still(context, clock.as_mut()) {
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
        Ending::PeerLost | Ending::UpstreamLost | Ending::Stalled | Ending::Cut => upstream.sever(),
    }
    Relayed { bytes_in: course.inbound.moved(), bytes_out: course.outbound.moved(), ending }
}

/// Both directions of one relay.
#[derive(Default)]
struct Course {
    inbound: Flow,
    outbound: Flow,
    spoke_last: Spoke,
    /// Bytes moved when the half-closed clock was last set.
    marked: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Spoke {
    #[default]
    Nobody,
    Peer,
    Upstream,
}

impl Course {
    fn poll<P, U>(&mut self, context: &mut Context<'_>, peer: &mut P, upstream: &mut U) -> Poll<Ending>
    where
        P: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        U: Sever,
    {
        let (came, went) = (self.inbound.moved(), self.outbound.moved());
        let inbound = self.inbound.poll(context, peer, upstream);
        let outbound = self.outbound.poll(context, upstream, peer);
        if self.inbound.moved() > came {
            self.spoke_last = Spoke::Peer;
        } else if self.outbound.moved() > went {
            self.spoke_last = Spoke::Upstream;
        }
        match inbound {
            Poll::Ready(Err(Broken::Reader(error))) if self.was_idle(&error) => {
                self.inbound.end();
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Err(Broken::Reader(_))) => return Poll::Ready(Ending::PeerLost),
            // What the upstream said before it broke is still the peer's to read.
            Poll::Ready(Err(Broken::Writer(_))) => self.outbound.end_abruptly(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        match outbound {
            Poll::Ready(Err(Broken::Reader(_))) => Poll::Ready(Ending::UpstreamLost),
            Poll::Ready(Err(Broken::Writer(_))) => Poll::Ready(Ending::PeerLost),
            Poll::Ready(Ok(())) if inbound.is_ready() => Poll::Ready(Ending::Clean),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    fn was_idle(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::UnexpectedEof
            && self.spoke_last != Spoke::Peer
            && self.outbound.is_empty()
    }

    fn stands_still(&mut self, context: &mut Context<'_>, mut clock: Pin<&mut Sleep>) -> bool {
        if !(self.inbound.has_ended() || self.outbound.has_ended()) {
            return false;
        }
        let moved = self.inbound.moved() + self.outbound.moved();
        if moved != self.marked {
            self.marked = moved;
            clock.as_mut().reset(Instant::now() + HALF_CLOSED);
        }
        clock.poll(context).is_ready()
    }
}
