//! The relay of one connection: the peer's protocol, the open exchanges, and the upstream
//! connections that they use, driven by one task.
//!
//! One round reads what is ready, writes the answers of all streams together, and waits. So many
//! small answers share a TLS record and a system call.

mod assignment;
mod deadlines;
mod peer_io;
mod requests;
mod responses;
mod uploads;
mod upstream_events;
mod upstreams;

use std::{
    cell::RefCell,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use aop_http::ResponseHead;
use aop_tls::PeerStream;
use slab::Slab;
use tokio::sync::OwnedSemaphorePermit;
use upstreams::Slot;

use super::{
    exchanges::Exchanges, limits, peer::Peer, request_policy::RequestPolicy, upstream::ReadySet,
};
use crate::upstream::UpstreamStream;

/// Rounds without a pause, so that one connection does not keep its thread.
const ROUNDS: usize = 16;

thread_local! {
    /// The bytes of one read, for all connections of a thread.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; limits::READ]);
}

/// The relay of one connection.
pub(super) struct HttpRelay {
    pub(super) policy: RequestPolicy,
    stream: PeerStream,
    peer: Peer,
    /// Bytes of the peer that are not parsed yet.
    input: Vec<u8>,
    /// Whether the peer's socket may have bytes.
    reading: Reading,
    /// Bytes for the peer that are being written, and how many of them were.
    writing: Vec<u8>,
    written: usize,
    /// Bytes of this round that went straight to the TLS session.
    written_through: usize,
    /// Whether bytes wait in the TLS session.
    flush: Flush,
    exchanges: Exchanges,
    /// The upstream connections in use.
    slots: Slab<Slot>,
    ready: Arc<ReadySet>,
    /// The wakers of the upstream connections, by their numbers.
    wakers: Vec<Waker>,
    /// Upstream connections with bytes to write.
    dirty: Vec<usize>,
    /// Upstream connections that an exchange has left.
    released: Vec<usize>,
    /// Used for each response in turn.
    response: ResponseHead,
    /// The time in milliseconds, read once in each poll.
    now: u64,
    pub(super) stats: RelayStats,
    /// Set once the connection must end after the bytes that wait for the peer.
    last_words: Option<RelayEnd>,
    /// A tunnel that begins after the bytes that wait for the peer.
    tunnel: Option<UpstreamTunnel>,
}

/// The facts for the closing line.
#[derive(Default)]
pub(super) struct RelayStats {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) requests: u64,
    /// The CF-Ray of the last request.
    pub(super) ray: Vec<u8>,
}

/// How the relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelayEnd {
    /// This side is done. The peer may still send.
    Finished,
    /// The peer has ended the connection in order.
    PeerEnded,
    /// A request was answered, and the rest of its body stays unread.
    Unread,
    /// A response is incomplete: only an end without close_notify says so.
    Incomplete,
    /// The peer is gone.
    PeerLost,
    /// The peer sent malformed bytes, and an answer that says so is written.
    Malformed,
    /// A request made no progress.
    Stalled,
    /// The upstream accepted a tunnel.
    Tunnel,
}

/// The upstream's side of a tunnel.
pub(super) struct UpstreamTunnel {
    pub(super) stream: UpstreamStream,
    /// The bytes after its 101.
    pub(super) read: Vec<u8>,
    /// The permit of its request, held for the life of the tunnel.
    pub(super) permit: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The peer has ended its side.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    Done,
    Due,
}

impl HttpRelay {
    pub(super) fn new(policy: RequestPolicy, stream: PeerStream, peer: Peer) -> Self {
        Self {
            policy,
            stream,
            peer,
            input: Vec::new(),
            reading: Reading::Open,
            writing: Vec::new(),
            written: 0,
            written_through: 0,
            flush: Flush::Done,
            exchanges: Exchanges::default(),
            slots: Slab::new(),
            ready: Arc::default(),
            wakers: Vec::new(),
            dirty: Vec::new(),
            released: Vec::new(),
            response: ResponseHead::default(),
            now: limits::now(),
            stats: RelayStats::default(),
            last_words: None,
            tunnel: None,
        }
    }

    /// Relays until the connection ends.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<RelayEnd> {
        self.ready.set_task(context.waker());
        self.read_clock();
        for _ in 0..ROUNDS {
            self.written_through = 0;
            let mut worked = self.poll_slots(context);
            match self.read_peer(context) {
                Ok(read) => worked |= read,
                Err(end) => return Poll::Ready(end),
            }
            self.settle_released();
            worked |= self.write_upstreams(context);
            match self.write_peer(context) {
                Poll::Ready(Ok(wrote)) => worked |= wrote,
                Poll::Ready(Err(_)) => return Poll::Ready(RelayEnd::PeerLost),
                Poll::Pending => {
                    // Upstreams may have something to do, but nothing is read for this peer.
                    if !worked {
                        return Poll::Pending;
                    }
                    continue;
                }
            }
            if let Some(end) = self.ended() {
                return Poll::Ready(end);
            }
            if !worked {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn read_clock(&mut self) {
        self.now = limits::now();
    }

    /// Whether the connection ends, now that nothing waits for the peer.
    fn ended(&mut self) -> Option<RelayEnd> {
        if self.last_words.is_some() {
            return self.last_words;
        }
        if self.tunnel.is_some() {
            return Some(RelayEnd::Tunnel);
        }
        // A request may still leave for its upstream.
        (self.peer.is_finished() && self.exchanges.is_empty()).then_some(RelayEnd::Finished)
    }

    /// Gives back the memory that a connection at rest does not need. The next request allocates
    /// it again.
    pub(super) fn release_memory(&mut self) {
        if self.is_busy() || !self.slots.is_empty() || self.waiting() > 0 {
            return;
        }
        (self.exchanges, self.slots) = (Exchanges::default(), Slab::new());
        (self.dirty, self.writing, self.wakers) = (Vec::new(), Vec::new(), Vec::new());
        self.response = ResponseHead::default();
        self.input.shrink_to_fit();
        self.peer.shrink();
    }

    /// The bytes that wait for the peer.
    pub(super) fn waiting(&mut self) -> usize {
        self.writing.len() - self.written + self.peer.output().len()
    }

    /// Whether the peer has enough for this round.
    fn is_full(&mut self) -> bool {
        self.waiting() + self.written_through >= limits::OUTPUT
    }

    /// The room for bytes of responses. There is none while much waits for the peer.
    pub(super) fn room(&mut self) -> usize {
        if self.waiting() < limits::OUTPUT { limits::OUTPUT } else { 0 }
    }

    /// Announces that the connection ends, where the protocol has a message for it: a request that
    /// is on its way is still served.
    pub(super) fn announce_end(&mut self) {
        match self.peer {
            Peer::Http1(_) => {}
            Peer::Http2(_) => self.peer.shut_down(),
        }
    }

    /// Accepts no request after those that are open.
    pub(super) fn shut_down(&mut self) {
        self.peer.shut_down();
    }

    /// How the connection ends after the bytes that wait for the peer, if that is decided.
    pub(super) fn last_words(&self) -> Option<RelayEnd> {
        self.last_words
    }

    /// Whether a request is open.
    pub(super) fn is_busy(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// The peer's stream, the bytes that it sent behind the last request, and the upstream's side
    /// of a tunnel.
    pub(super) fn into_parts(
        mut self,
    ) -> (RequestPolicy, PeerStream, Vec<u8>, Option<UpstreamTunnel>, RelayStats) {
        self.abort_all();
        (self.policy, self.stream, self.input, self.tunnel, self.stats)
    }
}
