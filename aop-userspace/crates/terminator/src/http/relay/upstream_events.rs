//! The responses, refusals and ends of upstreams, and the repetition of requests that are safe to
//! send twice.
//!
//! A request is sent again, once, where the upstream cannot have acted on it, or where acting twice
//! is harmless: over HTTP/1.1 if a kept connection ends before the response begins and the method
//! is idempotent (RFC 9110, 9.2.2); over HTTP/2 if the upstream refused the stream, or left it out
//! with a GOAWAY (RFC 9113, 8.7).

use std::{io, mem};

use aop_http::{
    BodyLength, Fault,
    http1::MessageEvent,
    http2::{ErrorCode, StreamEvent},
};

use super::{HttpRelay, Peer, UpstreamTunnel, upstreams::Slot};
use crate::http::{
    denial::Denial,
    exchange::{EndState, Repetition, ResponseState, TunnelState, UploadState},
    headers::{self, Upgrade},
    upstream::{Codec, Reuse},
    websocket,
};

/// Bytes that are parsed though the peer takes none: enough for the end of a chunked body.
const LOOK_AHEAD: usize = 16;

impl HttpRelay {
    /// Parses bytes of an HTTP/1.1 upstream, as far as the peer takes them.
    pub(super) fn parse_http1(&mut self, number: usize, input: &mut &[u8]) {
        let at = self.exchange_of(number);
        let at = at.filter(|at| {
            let exchange = &self.exchanges[*at];
            exchange.response != ResponseState::Complete && exchange.held_end.is_none()
        });
        let Some(at) = at else {
            // Bytes without a request: the connection must not be used again.
            let left = self.exchange_of(number);
            self.remove_slot(number);
            *input = &[];
            if let Some(at) = left {
                self.discard_upload(at);
                self.remove_if_complete(at);
            }
            return;
        };
        if self.exchanges[at].is_tunnel() {
            self.deliver(at, input);
            *input = &[];
            return;
        }
        // The last part of a body goes together with its end.
        let mut data: Option<&[u8]> = None;
        loop {
            let waiting = data.map_or(0, <[u8]>::len);
            let room = self.room();
            let Some(exchange) = self.exchanges.get(at) else { return };
            let begun = exchange.response == ResponseState::Begun;
            let room = self.peer.capacity(exchange.stream).min(room).saturating_sub(waiting);
            // The end of a message needs no byte, so it is read even if the peer takes none.
            let limit = match (begun, room) {
                (false, _) => usize::MAX,
                (true, 0) if !exchange.held.is_empty() => 0,
                (true, room) => room.max(LOOK_AHEAD),
            };
            let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) else { return };
            let Codec::Http1(reader) = &mut connection.codec else { return };
            let (mut part, _) = input.split_at(limit.min(input.len()));
            let before = part.len();
            let event = reader.next(&mut part);
            *input = &input[before - part.len()..];
            match event {
                Ok(Some(MessageEvent::Head)) => {
                    let head = reader.response();
                    let (interim, switching) = (head.is_interim(), head.status == 101);
                    let empty = head.body == BodyLength::Empty;
                    std::mem::swap(reader.response_mut(), &mut self.response);
                    if switching {
                        self.start_tunnel(at, number, input);
                        return;
                    }
                    if empty && !matches!(reader.next(input), Ok(Some(MessageEvent::End))) {
                        return;
                    }
                    self.on_head(at);
                    if empty && !interim {
                        return;
                    }
                }
                Ok(Some(MessageEvent::Data(bytes))) => {
                    if let Some(earlier) = data.replace(bytes) {
                        self.deliver(at, earlier);
                    }
                }
                Ok(Some(MessageEvent::End)) => {
                    let trailers = reader.trailers();
                    let trailers = (!trailers.is_empty()).then(|| trailers.clone());
                    if let Some(last) = data.take() {
                        match trailers {
                            None => return self.deliver_last(at, last),
                            Some(_) => self.deliver(at, last),
                        }
                    }
                    self.on_end(at, trailers);
                    return;
                }
                // The room cut a line in two.
                Ok(None) if !input.is_empty() && before > 0 => {}
                Ok(None) => break,
                Err(malformed) => {
                    if let Some(bytes) = data.take() {
                        self.deliver(at, bytes);
                    }
                    self.remove_slot(number);
                    self.deny_for(at, Denial::UpstreamBroken, Some(&malformed));
                    return;
                }
            }
        }
        if let Some(bytes) = data {
            self.deliver(at, bytes);
        }
    }

    /// The upstream accepted a tunnel with a 101.
    pub(super) fn start_tunnel(&mut self, at: usize, number: usize, input: &mut &[u8]) {
        let exchange = &mut self.exchanges[at];
        let fields = &self.response.fields;
        let websocket =
            fields.first(b"upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
        let asked =
            exchange.relay.as_ref().is_some_and(|relay| relay.plan.upgrade == Upgrade::WebSocket);
        let may_start = match self.peer {
            Peer::Http1(_) => exchange.upload.state == UploadState::Complete,
            Peer::Http2(_) => {
                let accept = fields.first(b"sec-websocket-accept").unwrap_or_default();
                let key = exchange.request.fields.first(b"sec-websocket-key").unwrap_or_default();
                websocket::confirms(accept, key)
            }
        };
        if !(websocket && asked && may_start) {
            self.remove_slot(number);
            let malformed = Fault::StartLine.of(b"101");
            self.deny_for(at, Denial::UpstreamBroken, Some(&malformed));
            *input = &[];
            return;
        }
        self.policy.relayed();
        if let Peer::Http2(_) = self.peer {
            self.open_tunnel(at, number);
            let bytes = mem::take(input);
            self.deliver(at, bytes);
            return;
        }
        headers::rewrite_response(&mut self.response, Upgrade::WebSocket);
        self.peer.respond(exchange.stream, &self.response, b"");
        let relay = exchange.relay.take();
        if let Some(Slot::Open { connection, .. }) = self.remove_slot(number)
            && let Some(relay) = relay
        {
            let read = input.to_vec();
            self.tunnel =
                Some(UpstreamTunnel { stream: connection.stream, read, permit: relay.permit });
        }
        *input = &[];
        self.exchanges.remove(at);
    }

    /// Opens a tunnel in a stream of HTTP/2 (RFC 8441, 5).
    fn open_tunnel(&mut self, at: usize, number: usize) {
        headers::rewrite_response(&mut self.response, Upgrade::None);
        self.response.fields.remove(b"sec-websocket-accept");
        (self.response.status, self.response.body) = (200, BodyLength::Unknown);
        if let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) {
            connection.reuse = Reuse::Forbidden;
            connection.hold_no_longer();
        }
        let exchange = &mut self.exchanges[at];
        if let Some(relay) = &mut exchange.relay {
            relay.repetition = Repetition::Impossible;
        }
        (exchange.tunnel, exchange.response) = (TunnelState::Open, ResponseState::Begun);
        self.peer.respond(exchange.stream, &self.response, &exchange.request.method);
        self.push_upload(at, &[]);
    }

    pub(super) fn parse_http2(&mut self, number: usize, input: &mut &[u8]) {
        loop {
            let now = self.now;
            let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) else { return };
            let Codec::Http2(codec) = &mut connection.codec else { return };
            let event = match codec.receive(input, now) {
                Ok(None) => {
                    // Acknowledgements and credit wait to be written.
                    self.dirty.push(number);
                    return;
                }
                Ok(Some(event)) => event,
                Err(error) => {
                    tracing::debug!(%error, "an upstream's HTTP/2 failed");
                    self.on_upstream_end(number, None);
                    return;
                }
            };
            self.on_upstream_event(number, event);
        }
    }

    pub(super) fn on_upstream_event(&mut self, number: usize, event: StreamEvent<'_>) {
        let of = |relay: &Self, stream| {
            relay.exchanges.iter().find_map(|(at, exchange)| {
                let own = exchange.relay.as_ref()?;
                let same = own.connection == Some(number) && own.upstream_stream == Some(stream);
                same.then_some(at)
            })
        };
        match event {
            StreamEvent::Response { stream, end } => {
                let Some(at) = of(self, stream) else { return };
                if let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number)
                    && let Codec::Http2(codec) = &mut connection.codec
                {
                    mem::swap(codec.response_mut(), &mut self.response);
                }
                self.on_head(at);
                if end {
                    self.on_end(at, None);
                }
            }
            StreamEvent::Data { stream, bytes, end } => match of(self, stream) {
                Some(at) => {
                    self.deliver(at, bytes);
                    if end {
                        self.on_end(at, None);
                    }
                }
                None => self.consumed_upstream(number, stream, bytes.len()),
            },
            StreamEvent::Trailers { stream } => {
                let Some(at) = of(self, stream) else { return };
                let trailers = match self.slots.get(number) {
                    Some(Slot::Open { connection, .. }) => match &connection.codec {
                        Codec::Http2(codec) => codec.trailers().clone(),
                        Codec::Http1(_) => return,
                    },
                    Some(Slot::Connecting { .. }) | None => return,
                };
                self.on_end(at, Some(trailers));
            }
            StreamEvent::Reset { stream, code } => {
                let Some(at) = of(self, stream) else { return };
                let unprocessed = code == ErrorCode::RefusedStream;
                self.forget_stream(at);
                match self.exchanges[at].response {
                    // RFC 9113, 8.1: the response is complete, and the rest of the body unwanted.
                    ResponseState::Complete => self.discard_upload(at),
                    ResponseState::Waiting if unprocessed => self.repeat_or_deny(at),
                    ResponseState::Waiting => self.deny(at, Denial::UpstreamBroken),
                    ResponseState::Begun if self.exchanges[at].held_end.is_some() => {
                        self.discard_upload(at);
                    }
                    ResponseState::Begun => self.break_off(at, None),
                }
            }
            StreamEvent::Malformed { stream, fault } => {
                let Some(at) = of(self, stream) else { return };
                self.forget_stream(at);
                self.deny_for(at, Denial::UpstreamBroken, Some(&fault));
            }
            StreamEvent::Writable { stream } => {
                for at in self.exchanges_of(number) {
                    let own = self.exchanges[at].relay.as_ref();
                    match (own.and_then(|relay| relay.upstream_stream), stream) {
                        // It waited for a stream.
                        (None, None) => self.attach(at, number),
                        (own, stream) if stream.is_none() || own == stream => {
                            self.push_upload(at, &[]);
                        }
                        (_, _) => {}
                    }
                }
            }
            StreamEvent::GoAway { .. }
            | StreamEvent::Limit { .. }
            | StreamEvent::Truncated { .. }
            | StreamEvent::Request { .. } => {}
        }
    }

    /// The upstream closed its connection, or it failed.
    pub(super) fn on_upstream_end(&mut self, number: usize, error: Option<&io::Error>) {
        let exchanges = self.exchanges_of(number);
        let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) else { return };
        let clean = error.is_none();
        let tunnel = exchanges.first().is_some_and(|at| self.exchanges[*at].is_tunnel());
        let ended = match &mut connection.codec {
            Codec::Http1(_) if tunnel => clean,
            Codec::Http1(reader) => clean && matches!(reader.end_of_input(), Ok(Some(_))),
            Codec::Http2(_) => false,
        };
        let (kept, http1) = (connection.is_kept, matches!(connection.codec, Codec::Http1(_)));
        if ended {
            for at in exchanges {
                if tunnel {
                    self.exchanges[at].tunnel = TunnelState::HalfClosed;
                }
                self.on_end(at, None);
            }
            return;
        }
        let output = mem::take(&mut connection.output);
        self.remove_slot(number);
        for at in exchanges {
            let relay = self.exchanges[at].relay.as_mut();
            let stream = relay.and_then(|relay| relay.upstream_stream.take());
            let unsent = !http1 && stream.is_none();
            let exchange = &mut self.exchanges[at];
            let again = unsent || (kept && exchange.is_idempotent());
            match exchange.response {
                ResponseState::Waiting if http1 && again => self.repeat(at, output.clone()),
                ResponseState::Waiting if again => self.repeat_or_deny(at),
                ResponseState::Waiting => {
                    tracing::debug!(?error, "no response");
                    self.deny(at, Denial::UpstreamBroken);
                }
                ResponseState::Begun if exchange.held_end.is_none() => self.break_off(at, None),
                ResponseState::Begun | ResponseState::Complete => {
                    self.discard_upload(at);
                    self.remove_if_complete(at);
                }
            }
        }
    }

    /// Sends a request again over a new HTTP/1.1 connection, if all of it is still held.
    pub(super) fn repeat(&mut self, at: usize, output: Vec<u8>) {
        let Some(relay) = &mut self.exchanges[at].relay else { return };
        if relay.repetition == Repetition::Impossible || output.is_empty() {
            self.deny(at, Denial::UpstreamBroken);
            return;
        }
        relay.repetition = Repetition::Impossible;
        // The request so far, and what follows it, go to the new connection.
        relay.sent = output;
        self.connect(at, None);
    }

    /// Sends a request again over another HTTP/2 connection, if all of it is still held.
    pub(super) fn repeat_or_deny(&mut self, at: usize) {
        let exchange = &mut self.exchanges[at];
        let Some(relay) = &mut exchange.relay else { return };
        if relay.repetition == Repetition::Impossible {
            self.deny(at, Denial::UpstreamBroken);
            return;
        }
        relay.repetition = Repetition::Impossible;
        let mut body = mem::take(&mut relay.sent);
        body.append(&mut exchange.upload.pending);
        exchange.upload.pending = body;
        exchange.upload.end = EndState::Owed;
        self.assign_elsewhere(at);
    }
}
