//! Both directions of one relay, and the effect of one direction's end on the other.
//!
//! A peer that ends TCP without close_notify may have been cut off by an attacker on the path. If
//! the peer sent the last bytes, the end is a failure. If the upstream did, or no bytes were sent,
//! the connection was idle: many peers end idle connections without close_notify.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};

use super::{
    Ending,
    copy_direction::{Broken, Flow},
};

/// Both directions of one relay.
#[derive(Default)]
pub(super) struct Course {
    inbound: Flow,
    outbound: Flow,
    intake: Intake,
    spoke_last: Spoke,
    /// Bytes moved when the half-closed clock was last set.
    marked: Option<u64>,
}

/// Whether the upstream still accepts bytes.
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
    /// Copies bytes in both directions. Ready once the relay has ended.
    pub(super) fn poll<P, U>(
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
                // The peer still gets the bytes that the upstream sent before it failed. The end of
                // these bytes is not passed on: it may come from the reset.
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

    /// Whether one direction has ended, and the other made no progress for `patience`.
    pub(super) fn stands_still(
        &mut self,
        context: &mut Context<'_>,
        mut clock: Pin<&mut Sleep>,
        patience: Duration,
    ) -> bool {
        if !(self.inbound.has_ended() || self.outbound.has_ended()) {
            return false;
        }
        let (bytes_in, bytes_out) = self.moved();
        let moved = Some(bytes_in + bytes_out);
        if self.marked != moved {
            self.marked = moved;
            clock.as_mut().reset(Instant::now() + patience);
        }
        clock.poll(context).is_ready()
    }

    /// Bytes from the peer, and bytes to it.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.inbound.moved(), self.outbound.moved())
    }
}
