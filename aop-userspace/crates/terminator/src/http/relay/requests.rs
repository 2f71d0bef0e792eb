//! The peer's requests: each becomes an exchange, which goes to an upstream or is answered here.

use std::{fmt::Display, task::Context};

use aop_http::{
    BodyLength, Malformed,
    http2::{End, ErrorCode, StreamId},
};

use super::{HttpRelay, Peer, RelayEnd, responses::set_date, upstreams::Slot};
use crate::http::{
    denial::Denial,
    exchange::{
        EndState, Exchange, RelayState, Repetition, ResponseState, TunnelState, UploadState, answer,
    },
    headers::{CF_RAY, Upgrade},
    peer::{PeerEvent, Trailers},
    request_policy::DenialFacts,
    upstream::{Codec, SlotKind, Writes},
};

impl HttpRelay {
    pub(super) fn on_peer_event(&mut self, event: PeerEvent<'_>, context: &mut Context<'_>) {
        match event {
            PeerEvent::Request(stream, end) => {
                self.begin(stream, context);
                if end == End::Yes {
                    self.end_upload(stream, Trailers::None);
                }
            }
            PeerEvent::Data(stream, bytes, end) => {
                self.upload(stream, bytes);
                if end == End::Yes {
                    self.end_upload(stream, Trailers::None);
                }
            }
            PeerEvent::End(stream, trailers) => self.end_upload(stream, trailers),
            PeerEvent::Truncated(stream) => self.truncate_upload(stream),
            PeerEvent::Reset(stream, malformed) => self.withdraw(stream, malformed.as_ref()),
            PeerEvent::Malformed(stream, malformed) => self.answer_malformed(stream, &malformed),
            PeerEvent::Writable(stream) => self.resume(stream),
            PeerEvent::Retired(limit) => self.policy.retired(limit),
            PeerEvent::Nothing => {}
        }
    }

    /// Begins an exchange.
    fn begin(&mut self, stream: StreamId, context: &mut Context<'_>) {
        self.stats.requests += 1;
        let mut request = self.exchanges.spare_head();
        self.peer.take_request(&mut request);
        self.stats.ray.clear();
        if let Some(ray) = request.fields.first(CF_RAY) {
            self.stats.ray.extend_from_slice(ray);
        }
        let planned = self.policy.plan(&mut request, &self.stream);
        let planned = planned.and_then(|plan| {
            let kind = match plan.upgrade {
                Upgrade::WebSocket => SlotKind::Tunnel,
                Upgrade::None => SlotKind::Request,
            };
            let permit = plan.pool.permit(kind, self.policy.warrant())?;
            Ok((plan, permit))
        });
        let at = self.exchanges.insert(Exchange::new(stream, request, self.now));
        match planned {
            Ok((plan, permit)) => {
                if plan.upgrade == Upgrade::WebSocket && matches!(self.peer, Peer::Http2(_)) {
                    self.exchanges[at].tunnel = TunnelState::Asked;
                }
                self.exchanges[at].relay = Some(RelayState {
                    plan,
                    permit,
                    connection: None,
                    upstream_stream: None,
                    sent: Vec::new(),
                    repetition: Repetition::Possible,
                });
                self.assign(at, context);
            }
            Err(denial) => self.deny(at, denial),
        }
    }

    /// The peer withdrew its request.
    fn withdraw(&mut self, stream: StreamId, malformed: Option<&Malformed>) {
        let Some(at) = self.exchanges.find(stream) else {
            if let Some(malformed) = malformed {
                let facts = DenialFacts { fault: Some(malformed), ..DenialFacts::default() };
                self.policy.record(Denial::from(malformed.fault), &facts);
            }
            return;
        };
        let denial = malformed.map_or(Denial::Aborted, |malformed| malformed.fault.into());
        self.abort_for(at, denial, malformed);
    }

    /// Answers a stream whose request head is malformed. Other streams go on.
    fn answer_malformed(&mut self, stream: StreamId, malformed: &Malformed) {
        self.stats.requests += 1;
        let denial = Denial::from(malformed.fault);
        let facts = DenialFacts { fault: Some(malformed), ..DenialFacts::default() };
        self.policy.record(denial, &facts);
        let text = format!("The request is refused: {}.\n", malformed.fault.text());
        let head = self.exchanges.spare_head();
        let at = self.exchanges.insert(Exchange::new(stream, head, self.now));
        // The engine discards what follows.
        self.exchanges[at].upload.state = UploadState::Complete;
        self.answer(at, denial.status(), &text);
    }

    /// Answers a request with a short text.
    fn answer(&mut self, at: usize, status: u16, text: &str) {
        self.discard_upload(at);
        let exchange = &mut self.exchanges[at];
        answer(&mut self.response, status, b"text/plain; charset=utf-8", text);
        set_date(&mut self.response.fields);
        self.peer.respond(exchange.stream, &self.response, &exchange.request.method);
        exchange.response = ResponseState::Begun;
        if exchange.request.method != b"HEAD" {
            exchange.held.extend_from_slice(text.as_bytes());
        }
        exchange.held_end = Some(None);
        self.flush_held(at);
    }

    /// Answers a request instead of the upstream, or ends a response that has begun.
    pub(super) fn deny(&mut self, at: usize, denial: Denial) {
        self.deny_for(at, denial, None);
    }

    /// The same, for a `malformed` message of the upstream.
    pub(super) fn deny_for(&mut self, at: usize, denial: Denial, malformed: Option<&Malformed>) {
        if self.exchanges[at].response != ResponseState::Waiting {
            self.break_off(at, malformed);
            return;
        }
        let request = Some(&self.exchanges[at].request);
        let fault = malformed.map(|malformed| malformed as &dyn Display);
        self.policy.record(denial, &DenialFacts { request, fault });
        self.release(at);
        let exchange = &mut self.exchanges[at];
        let unread = exchange.upload.state == UploadState::Open
            && !matches!(exchange.request.body, BodyLength::Empty | BodyLength::Known(0));
        if unread && let Peer::Http1(server) = &mut self.peer {
            server.close_after_response();
            // The rest of the body is not worth its transfer.
            self.last_words = Some(RelayEnd::Unread);
        }
        self.answer(at, denial.status(), denial.text());
    }

    /// Ends a response that the upstream did not complete, so that the peer knows.
    pub(super) fn break_off(&mut self, at: usize, malformed: Option<&Malformed>) {
        let stream = self.exchanges[at].stream;
        self.abort_for(at, Denial::Incomplete, malformed);
        match &self.peer {
            Peer::Http1(_) => self.last_words = Some(RelayEnd::Incomplete),
            Peer::Http2(_) => self.peer.reset(stream, ErrorCode::InternalError),
        }
    }

    /// Removes an exchange whose request and response are complete, and whose request has left.
    pub(super) fn remove_if_complete(&mut self, at: usize) {
        if !self.exchanges[at].is_complete() || self.is_leaving(at) {
            return;
        }
        self.release(at);
        let exchange = self.exchanges.remove(at);
        self.peer.consumed(exchange.stream, exchange.upload.uncredited);
    }

    /// Whether a part of a request still waits for its upstream.
    fn is_leaving(&self, at: usize) -> bool {
        let exchange = &self.exchanges[at];
        let number = exchange.relay.as_ref().and_then(|relay| relay.connection);
        match number.and_then(|number| self.slots.get(number)) {
            Some(Slot::Open { connection, .. }) if connection.writes == Writes::Open => {
                let may_wait = match connection.codec {
                    Codec::Http1(_) => true,
                    // The connection goes on; a body may be lost only with it.
                    Codec::Http2(_) => exchange.request.body != BodyLength::Empty,
                };
                match exchange.upload.end {
                    EndState::Owed => true,
                    EndState::Sent => may_wait && connection.has_unwritten(),
                    EndState::Discarded => false,
                }
            }
            Some(Slot::Open { .. } | Slot::Connecting { .. }) | None => false,
        }
    }

    /// Ends an exchange for a reason, which counts unless it is counted as relayed already.
    pub(super) fn abort_for(&mut self, at: usize, denial: Denial, malformed: Option<&Malformed>) {
        let exchange = &self.exchanges[at];
        // Without a relay it was refused, which counts already.
        let counts = exchange.relay.is_some() && !exchange.is_tunnel();
        if exchange.response != ResponseState::Complete && counts {
            let request = Some(&exchange.request);
            let fault = malformed.map(|malformed| malformed as &dyn Display);
            self.policy.record(denial, &DenialFacts { request, fault });
        }
        self.abort(at);
    }

    /// Removes an exchange, and tells its upstream that it is incomplete.
    pub(super) fn abort(&mut self, at: usize) {
        let stream = self.exchanges[at].stream;
        let owed = self.exchanges[at].upload.uncredited;
        self.release(at);
        self.exchanges.remove(at);
        self.peer.consumed(stream, owed);
    }

    pub(super) fn abort_all(&mut self) {
        while let Some(at) = self.exchanges.first() {
            self.abort_for(at, Denial::Aborted, None);
        }
        self.settle_released();
        self.slots.clear();
    }
}
