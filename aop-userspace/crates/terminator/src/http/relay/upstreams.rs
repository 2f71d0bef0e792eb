//! The upstream connections in use: connecting, writing and reading.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use aop_config::HttpVersion;
use aop_http::http2::StreamId;

use super::{HttpRelay, SCRATCH};
use crate::http::{
    denial::Denial,
    exchange::{ResponseState, TunnelState},
    upstream::{Codec, Connecting, Pool, Reuse, UpstreamConnection, Writes},
};

/// An upstream connection in use, and the pool that it belongs to.
pub(super) enum Slot {
    Connecting {
        connecting: Connecting,
        version: HttpVersion,
        reuse: Reuse,
        waker: Waker,
        pool: Arc<Pool>,
    },
    Open {
        connection: Box<UpstreamConnection>,
        waker: Waker,
        pool: Arc<Pool>,
    },
}

impl HttpRelay {
    /// Polls the upstream connections that are ready. Whether one was.
    pub(super) fn poll_slots(&mut self, _: &mut Context<'_>) -> bool {
        let mut worked = false;
        if self.is_full() {
            // Both directions are independent: requests go on.
            let numbers: Vec<usize> = self.slots.iter().map(|(number, _)| number).collect();
            numbers.into_iter().for_each(|number| self.write_slot(number));
        }
        // Nothing more is taken for a peer that does not read. `resume_held` marks them again.
        while !self.is_full() {
            let Some(number) = self.ready.take() else { break };
            worked = true;
            self.poll_slot(number);
        }
        worked
    }

    fn poll_slot(&mut self, number: usize) {
        match self.slots.get_mut(number) {
            None => {}
            Some(Slot::Connecting { connecting, version, reuse, waker, pool }) => {
                let mut context = Context::from_waker(waker);
                if let Poll::Ready(connected) = connecting.as_mut().poll(&mut context) {
                    let connected = connected.map(|stream| {
                        let mut connection = UpstreamConnection::new(stream, *version);
                        connection.reuse = *reuse;
                        Box::new(connection)
                    });
                    let connected = connected.map(|connection| Slot::Open {
                        connection,
                        waker: waker.clone(),
                        pool: pool.clone(),
                    });
                    self.on_connected(number, connected);
                }
            }
            Some(Slot::Open { .. }) => {
                self.write_slot(number);
                self.read_slot(number);
                self.settle_released();
            }
        }
    }

    fn on_connected(&mut self, number: usize, connected: Result<Slot, Denial>) {
        let waiting = self.exchanges_of(number);
        match connected {
            Ok(open) => {
                self.slots[number] = open;
                for at in waiting {
                    self.attach(at, number);
                }
            }
            Err(denial) => {
                self.remove_slot(number);
                for at in waiting {
                    self.deny(at, denial);
                }
            }
        }
    }

    /// Writes to the upstreams that have something to write. Whether one had.
    pub(super) fn write_upstreams(&mut self, _: &mut Context<'_>) -> bool {
        let worked = !self.dirty.is_empty();
        while let Some(number) = self.dirty.pop() {
            self.write_slot(number);
        }
        worked
    }

    fn write_slot(&mut self, number: usize) {
        let Some(Slot::Open { connection, waker, .. }) = self.slots.get_mut(number) else { return };
        let mut context = Context::from_waker(waker);
        let before = connection.total;
        match connection.poll_write(&mut context) {
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "an upstream takes no more");
                // Its response may have arrived before: it is read to its end.
                connection.writes = Writes::Failed;
                self.ready.mark(number);
                for at in self.exchanges_of(number) {
                    if self.exchanges[at].response != ResponseState::Waiting {
                        self.discard_upload(at);
                    }
                }
                return;
            }
        }
        let progress = connection.total > before;
        match &connection.codec {
            Codec::Http1(_) => {
                if let Some(at) = self.exchange_of(number) {
                    if progress {
                        self.exchanges[at].moved = self.now;
                    }
                    self.credit(at);
                    self.remove_if_complete(at);
                }
            }
            Codec::Http2(_) => {
                for at in self.exchanges_of(number) {
                    let exchange = &mut self.exchanges[at];
                    // Before, the bytes may be those of other streams.
                    if progress && exchange.response == ResponseState::Complete {
                        exchange.moved = self.now;
                    }
                    self.credit(at);
                    self.remove_if_complete(at);
                }
            }
        }
    }

    /// Reads from an upstream and passes on what the peer takes.
    fn read_slot(&mut self, number: usize) {
        self.parse_kept(number);
        while SCRATCH.with_borrow_mut(|scratch| self.read_slot_once(number, scratch)).is_ready() {}
    }

    /// Parses the bytes that were read before, as far as the peer takes them now.
    fn parse_kept(&mut self, number: usize) {
        let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) else { return };
        if connection.input.is_empty() {
            return;
        }
        let mut input = mem::take(&mut connection.input);
        let mut rest = &input[..];
        self.parse(number, &mut rest);
        let parsed = input.len() - rest.len();
        input.drain(..parsed);
        if let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) {
            connection.input = input;
        }
    }

    fn read_slot_once(&mut self, number: usize, scratch: &mut [u8]) -> Poll<()> {
        if self.is_held(number) {
            return Poll::Pending;
        }
        if self.is_full() {
            // It is read as soon as there is room.
            self.ready.mark(number);
            return Poll::Pending;
        }
        let Some(Slot::Open { connection, waker, .. }) = self.slots.get_mut(number) else {
            return Poll::Pending;
        };
        let mut context = Context::from_waker(waker);
        let read = match connection.poll_read(&mut context, scratch) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(read) => read,
        };
        match read {
            Ok(0) => self.on_upstream_end(number, None),
            Err(error) => self.on_upstream_end(number, Some(&error)),
            Ok(read) if connection.input.is_empty() => {
                let mut rest = &scratch[..read];
                self.parse(number, &mut rest);
                if let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) {
                    connection.input.extend_from_slice(rest);
                }
            }
            // The rest of a frame.
            Ok(read) => {
                connection.input.extend_from_slice(&scratch[..read]);
                self.parse_kept(number);
            }
        }
        Poll::Ready(())
    }

    /// Parses bytes of an upstream.
    fn parse(&mut self, number: usize, input: &mut &[u8]) {
        match self.slots.get(number) {
            Some(Slot::Open { connection, .. }) => match connection.codec {
                Codec::Http1(_) => self.parse_http1(number, input),
                Codec::Http2(_) => self.parse_http2(number, input),
            },
            Some(Slot::Connecting { .. }) | None => {}
        }
    }

    /// Whether the peer does not take what was read from the HTTP/1.1 connection `number`. Over
    /// HTTP/2, windows bound what is read.
    pub(super) fn is_held(&self, number: usize) -> bool {
        match self.slots.get(number) {
            Some(Slot::Open { connection, .. }) => match connection.codec {
                Codec::Http1(_) => {
                    let at = self.exchange_of(number);
                    let holds = at.is_some_and(|at| {
                        let exchange = &self.exchanges[at];
                        // Its end was read.
                        !exchange.held.is_empty() || exchange.tunnel == TunnelState::HalfClosed
                    });
                    holds || !connection.input.is_empty()
                }
                Codec::Http2(_) => false,
            },
            Some(Slot::Connecting { .. }) | None => true,
        }
    }

    /// Tells an HTTP/2 upstream that the peer took `bytes` of its response.
    pub(super) fn credit_upstream(&mut self, at: usize, bytes: usize) {
        let relay = self.exchanges.get(at).and_then(|exchange| exchange.relay.as_ref());
        if let Some(relay) = relay
            && let (Some(number), Some(stream)) = (relay.connection, relay.upstream_stream)
        {
            self.consumed_upstream(number, stream, bytes);
        }
    }

    pub(super) fn consumed_upstream(&mut self, number: usize, stream: StreamId, bytes: usize) {
        if let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number)
            && let Codec::Http2(codec) = &mut connection.codec
        {
            codec.consumed(stream, bytes);
            self.dirty.push(number);
        }
    }
}
