//! The upstreams' responses on their way to the peer.
//!
//! The peer gets what its window and the buffer for it have room for. The rest waits in the
//! exchange: at most one read over HTTP/1.1, at most one stream window over HTTP/2.

use std::{cell::RefCell, time::SystemTime};

use aop_http::{
    BodyLength, Fault, Fields,
    http2::{End, StreamId},
};

use super::{HttpRelay, Peer, upstreams::Slot};
use crate::http::{
    denial::Denial,
    exchange::{EndState, Exchange, Repetition, ResponseState, TunnelState, UploadState},
    headers::{self, Upgrade},
    upstream::{Codec, Reuse, SlotKind, Writes},
};

impl HttpRelay {
    /// The head of a response is in `self.response`.
    pub(super) fn on_head(&mut self, at: usize) {
        let exchange = &mut self.exchanges[at];
        exchange.moved = self.now;
        let stream = exchange.stream;
        if exchange.response != ResponseState::Waiting {
            return;
        }
        headers::rewrite_response(&mut self.response, Upgrade::None);
        if self.response.is_interim() {
            self.peer.respond_interim(stream, &self.response);
            return;
        }
        if let Some(relay) = &mut exchange.relay {
            relay.repetition = Repetition::Impossible;
            relay.sent = Vec::new();
            if let Some(number) = relay.connection
                && let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number)
                && matches!(connection.codec, Codec::Http1(_))
            {
                connection.hold_no_longer();
            }
        }
        if exchange.upload.state == UploadState::Open
            && let Peer::Http1(server) = &mut self.peer
        {
            // RFC 9110, 10.1.1: a peer that waited for a 100 may not send its body any more, and
            // its next bytes must not be taken for it.
            server.close_after_response();
        }
        if exchange.tunnel == TunnelState::Asked {
            // There is no tunnel. With a 2xx, the peer would believe that there is one.
            exchange.tunnel = TunnelState::None;
            if (200..300).contains(&self.response.status) {
                self.deny_for(at, Denial::UpstreamBroken, Some(&Fault::StartLine.of(b"2xx")));
                return;
            }
            self.discard_upload(at);
        }
        if self.is_event_stream()
            && let Err(denial) = self.take_tunnel_slot(at)
        {
            self.deny(at, denial);
            return;
        }
        let exchange = &mut self.exchanges[at];
        set_date(&mut self.response.fields);
        self.peer.respond(stream, &self.response, &exchange.request.method);
        exchange.response = ResponseState::Begun;
        let without = self.response.body == BodyLength::Empty || exchange.request.method == b"HEAD";
        if without {
            if let Peer::Http1(_) = self.peer {
                self.peer.send(stream, &[], End::Yes);
            }
            self.complete(at);
        }
    }

    /// Whether the response in `self.response` is a stream of events, which lasts long.
    fn is_event_stream(&self) -> bool {
        const TYPE: &[u8] = b"text/event-stream";
        let field = self.response.fields.first(b"content-type");
        let begins = field.and_then(|value| value.get(..TYPE.len()));
        begins.is_some_and(|value| value.eq_ignore_ascii_case(TYPE))
    }

    /// Exchanges the slot of a request for that of a tunnel.
    fn take_tunnel_slot(&mut self, at: usize) -> Result<(), Denial> {
        if let Some(relay) = &mut self.exchanges[at].relay {
            relay.permit = relay.plan.pool.permit(SlotKind::Tunnel, self.policy.warrant())?;
        }
        Ok(())
    }

    /// Passes a part of a body on.
    pub(super) fn deliver(&mut self, at: usize, bytes: &[u8]) {
        let room = self.room();
        let Some(exchange) = self.exchanges.get_mut(at) else { return };
        if exchange.response != ResponseState::Begun {
            let number = exchange.relay.as_ref().and_then(|relay| relay.connection);
            let stream = exchange.relay.as_ref().and_then(|relay| relay.upstream_stream);
            if let (Some(number), Some(stream)) = (number, stream) {
                self.consumed_upstream(number, stream, bytes.len());
            }
            return;
        }
        let mut taken = 0;
        if exchange.held.is_empty() {
            let room = self.peer.capacity(exchange.stream).min(room).min(bytes.len());
            let stream = exchange.stream;
            exchange.moved = self.now;
            taken = self.write_through(&bytes[..room]);
            taken += self.peer.send(stream, &bytes[taken..room], End::No);
        }
        let Some(exchange) = self.exchanges.get_mut(at) else { return };
        exchange.held.extend_from_slice(&bytes[taken..]);
        self.credit_upstream(at, taken);
    }

    /// Passes the last part of a body on, together with its end where the peer takes all of it.
    pub(super) fn deliver_last(&mut self, at: usize, bytes: &[u8]) {
        let room = self.room();
        let Some(exchange) = self.exchanges.get_mut(at) else { return };
        let fits = self.peer.capacity(exchange.stream).min(room) >= bytes.len();
        if exchange.response == ResponseState::Begun && exchange.held.is_empty() && fits {
            self.peer.send(exchange.stream, bytes, End::Yes);
            exchange.moved = self.now;
            self.complete(at);
            return;
        }
        self.deliver(at, bytes);
        self.on_end(at, None);
    }

    /// The upstream's response is complete.
    pub(super) fn on_end(&mut self, at: usize, trailers: Option<Fields>) {
        let Some(exchange) = self.exchanges.get_mut(at) else { return };
        if exchange.response != ResponseState::Begun {
            return;
        }
        exchange.held_end = Some(trailers);
        self.flush_held(at);
    }

    /// Passes on what was held, as far as the peer takes it.
    pub(super) fn flush_held(&mut self, at: usize) {
        let room = self.room();
        let Some(exchange) = self.exchanges.get_mut(at) else { return };
        if exchange.response != ResponseState::Begun {
            return;
        }
        let room = self.peer.capacity(exchange.stream).min(room).min(exchange.held.len());
        if room > 0 {
            let taken = self.peer.send(exchange.stream, &exchange.held[..room], End::No);
            exchange.held.drain(..taken);
            exchange.moved = self.now;
            self.credit_upstream(at, taken);
        }
        let exchange = &mut self.exchanges[at];
        if !exchange.held.is_empty() {
            return;
        }
        exchange.held = Vec::new();
        match exchange.held_end.take() {
            None => {}
            Some(trailers) => {
                let stream = exchange.stream;
                let wanted =
                    matches!(self.peer, Peer::Http2(_)) || exchange.request.fields.contains(b"te");
                match trailers.filter(|_| wanted) {
                    Some(mut trailers) => {
                        headers::clean_response_trailers(&mut trailers);
                        self.peer.send_trailers(stream, &trailers);
                    }
                    None => {
                        self.peer.send(stream, &[], End::Yes);
                    }
                }
                self.complete(at);
            }
        }
    }

    /// The peer's protocol has the whole response.
    fn complete(&mut self, at: usize) {
        if self.peer.is_short() {
            self.break_off(at, None);
            return;
        }
        let exchange = &mut self.exchanges[at];
        exchange.response = ResponseState::Complete;
        if exchange.relay.is_some() && !exchange.is_tunnel() {
            self.policy.relayed();
        }
        (exchange.moved, exchange.completed) = (self.now, self.now);
        let number = exchange.relay.as_ref().and_then(|relay| relay.connection);
        let early = exchange.upload.end != EndState::Sent;
        let failed = match number.and_then(|number| self.slots.get_mut(number)) {
            Some(Slot::Open { connection, .. }) => {
                if early && matches!(connection.codec, Codec::Http1(_)) {
                    // The application may take the rest of the request for another one.
                    connection.reuse = Reuse::Forbidden;
                }
                connection.writes == Writes::Failed
            }
            // The upstream has closed its connection.
            Some(Slot::Connecting { .. }) | None => true,
        };
        if failed {
            self.discard_upload(at);
        }
        self.remove_if_complete(at);
    }

    /// The peer takes more on `stream`, or on all.
    pub(super) fn resume(&mut self, stream: Option<StreamId>) {
        match stream {
            Some(stream) => {
                if let Some(at) = self.exchanges.find(stream) {
                    self.resume_one(at);
                }
            }
            None => self.resume_held(),
        }
    }

    /// There is room for the peer again.
    pub(super) fn resume_held(&mut self) {
        let waiting = |(at, exchange): (usize, &Exchange)| {
            (exchange.response == ResponseState::Begun).then_some(at)
        };
        let all: Vec<usize> = self.exchanges.iter().filter_map(waiting).collect();
        all.into_iter().for_each(|at| self.resume_one(at));
    }

    fn resume_one(&mut self, at: usize) {
        self.flush_held(at);
        let relay = self.exchanges.get(at).and_then(|exchange| exchange.relay.as_ref());
        if let Some(number) = relay.and_then(|relay| relay.connection) {
            self.ready.mark(number);
        }
    }
}

thread_local! {
    /// The text of the current second.
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// Adds the date to a response that has none (RFC 9110, 6.6.1).
pub(super) fn set_date(fields: &mut Fields) {
    if fields.contains(b"date") {
        return;
    }
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(second, text)| {
        if *second != seconds {
            (*second, *text) = (seconds, httpdate::fmt_http_date(now));
        }
        fields.push(b"date", text.as_bytes());
    });
}
