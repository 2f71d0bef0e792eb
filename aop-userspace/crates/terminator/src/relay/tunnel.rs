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
    copy_direction::{CopyDirection, FailedSide},
};

/// Both directions of one relay.
#[derive(Default)]
pub(super) struct Tunnel {
    inbound: CopyDirection,
    outbound: CopyDirection,
    upstream_writes: UpstreamWrites,
    last_sender: LastSender,
    /// Bytes moved when the half-closed clock was last set.
    bytes_at_reset: Option<u64>,
}

/// Whether the upstream still accepts bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum UpstreamWrites {
    #[default]
    Open,
    Failed,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum LastSender {
    #[default]
    Nobody,
    Peer,
    Upstream,
}

impl Tunnel {
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
            self.last_sender = LastSender::Upstream;
        }
        match (outbound, self.upstream_writes) {
            (Poll::Pending, _) => Poll::Pending,
            (Poll::Ready(Err(FailedSide::Writer)), _) => Poll::Ready(Ending::PeerLost),
            (Poll::Ready(Err(FailedSide::Reader(_))), _)
            | (Poll::Ready(Ok(())), UpstreamWrites::Failed) => Poll::Ready(Ending::UpstreamLost),
            (Poll::Ready(Ok(())), UpstreamWrites::Open) => inbound.map(|()| Ending::Clean),
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
        if self.upstream_writes == UpstreamWrites::Failed {
            return Ok(Poll::Ready(()));
        }
        let before = self.inbound.moved();
        let polled = self.inbound.poll(context, peer, upstream);
        if self.inbound.moved() > before {
            self.last_sender = LastSender::Peer;
        }
        match polled {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(FailedSide::Writer)) => {
                // The peer still gets the bytes that the upstream sent before it failed. The end of
                // these bytes is not passed on: it may come from the reset.
                self.upstream_writes = UpstreamWrites::Failed;
                self.outbound.withhold_end();
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(FailedSide::Reader(error))) => match self.was_idle(&error) {
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
            && self.last_sender != LastSender::Peer
            && self.outbound.is_empty()
    }

    /// Whether one direction has ended, and the other made no progress for `progress_timeout`.
    pub(super) fn has_stalled(
        &mut self,
        context: &mut Context<'_>,
        mut clock: Pin<&mut Sleep>,
        progress_timeout: Duration,
    ) -> bool {
        if !(self.inbound.has_ended() || self.outbound.has_ended()) {
            return false;
        }
        let (bytes_in, bytes_out) = self.moved();
        let moved = Some(bytes_in + bytes_out);
        if self.bytes_at_reset != moved {
            self.bytes_at_reset = moved;
            clock.as_mut().reset(Instant::now() + progress_timeout);
        }
        clock.poll(context).is_ready()
    }

    /// Bytes from the peer, and bytes to it.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.inbound.moved(), self.outbound.moved())
    }
}
