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

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    flow::{Broken, Flow},
    upstream::Sever,
};
use crate::tls::{Permit, farewell};

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
        Ending::PeerLost | Ending::Stalled | Ending::Cut => upstream.sever(),
        Ending::UpstreamLost => {
            upstream.sever();
            // Not a word of close_notify: the peer shall know that there was more to come.
            farewell(peer.into_inner().0).await;
        }
    }
    Relayed { bytes_in: course.inbound.moved(), bytes_out: course.outbound.moved(), ending }
}

/// Both directions of one relay.
#[derive(Default)]
struct Course {
    inbound: Flow,
    outbound: Flow,
    intake: Intake,
    spoke_last: Spoke,
    /// Bytes moved when the half-closed clock was last set.
    marked: Option<u64>,
}

/// Whether the upstream still takes bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Intake {
    #[default]
    Open,
    Broken,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Spoke {
    #[default]
    Nobody,
    Peer,
    Upstream,
}

impl Course {
    fn poll<P, U>(
        &mut self,
        context: &mut Context<'_>,
        peer: &mut P,
        upstream: &mut U,
    ) -> Poll<Ending>
    where
        P: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let (came, went) = (self.inbound.moved(), self.outbound.moved());
        let inbound = match self.poll_inbound(context, peer, upstream) {
            Ok(inbound) => inbound,
            Err(ending) => return Poll::Ready(ending),
        };
        let outbound = self.outbound.poll(context, upstream, peer);
        if self.inbound.moved() == came && self.outbound.moved() > went {
            self.spoke_last = Spoke::Upstream;
        }
        match (outbound, self.intake) {
            (Poll::Pending, _) => Poll::Pending,
            (Poll::Ready(Err(Broken::Writer)), _) => Poll::Ready(Ending::PeerLost),
            (Poll::Ready(Err(Broken::Reader(_))), _) | (Poll::Ready(Ok(())), Intake::Broken) => {
                Poll::Ready(Ending::UpstreamLost)
            }
            (Poll::Ready(Ok(())), Intake::Open) => inbound.map(|()| Ending::Clean),
        }
    }

    fn poll_inbound<P, U>(
        &mut self,
        context: &mut Context<'_>,
        peer: &mut P,
        upstream: &mut U,
    ) -> Result<Poll<()>, Ending>
    where
        P: AsyncRead + Unpin,
        U: AsyncWrite + Unpin,
    {
        if self.intake == Intake::Broken {
            return Ok(Poll::Ready(()));
        }
        let before = self.inbound.moved();
        let polled = self.inbound.poll(context, peer, upstream);
        if self.inbound.moved() > before {
            self.spoke_last = Spoke::Peer;
        }
        match polled {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(Broken::Writer)) => {
                // What the upstream said before it broke is still the peer's to read, but its end
                // is no end: it may have been the reset's.
                self.intake = Intake::Broken;
                self.outbound.withhold_end();
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(Broken::Reader(error))) => match self.was_idle(&error) {
                true => {
                    self.inbound.end();
                    self.poll_inbound(context, peer, upstream)
                }
                false => Err(Ending::PeerLost),
            },
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
        if self.marked != Some(moved) {
            self.marked = Some(moved);
            clock.as_mut().reset(Instant::now() + HALF_CLOSED);
        }
        clock.poll(context).is_ready()
    }
}
