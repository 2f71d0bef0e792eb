//! The bodies of requests on their way to the upstreams.
//!
//! The peer's window gets back what has left for the upstream. Over HTTP/1.1 a request stays whole
//! in the output until its response begins, so that it can be sent again.

use std::mem;

use aop_http::{
    BodyLength, RequestHead,
    http1::{self, NameCase},
    http2::{End, StreamId},
};

use super::{HttpRelay, upstreams::Slot};
use crate::http::{
    exchange::{EndState, Exchange, Repetition, TunnelState, UploadState},
    headers, limits,
    peer::Trailers,
    upstream::{Codec, Shutdown},
};

impl HttpRelay {
    /// Takes a part of a request's body.
    pub(super) fn upload(&mut self, stream: StreamId, bytes: &[u8]) {
        let Some(at) = self.exchanges.find(stream) else {
            // The exchange is gone: only the connection's window goes back.
            self.peer.consumed(stream, bytes.len());
            return;
        };
        let exchange = &mut self.exchanges[at];
        exchange.moved = self.now;
        if exchange.upload.end == EndState::Discarded {
            exchange.upload.discarded += bytes.len() as u64;
            self.peer.consumed(stream, bytes.len());
            return;
        }
        exchange.upload.uncredited += bytes.len();
        self.push_upload(at, bytes);
    }

    pub(super) fn end_upload(&mut self, stream: StreamId, trailers: Trailers) {
        let Some(at) = self.exchanges.find(stream) else { return };
        let exchange = &mut self.exchanges[at];
        exchange.upload.state = UploadState::Complete;
        exchange.moved = self.now;
        if trailers == Trailers::Some && exchange.upload.end == EndState::Owed {
            let mut fields = self.peer.trailers().clone();
            headers::clean_trailers(&mut fields);
            self.exchanges[at].upload.trailers = Some(fields);
        }
        self.push_upload(at, &[]);
        self.remove_if_complete(at);
    }

    /// The peer ended its request too early, because it has seen the response begin. The response
    /// goes on, and the upstream never takes the request for a complete one.
    pub(super) fn truncate_upload(&mut self, stream: StreamId) {
        let Some(at) = self.exchanges.find(stream) else { return };
        self.discard_upload(at);
        let exchange = &mut self.exchanges[at];
        exchange.upload.state = UploadState::Complete;
        exchange.moved = self.now;
        self.remove_if_complete(at);
    }

    /// The rest of a request's body is read and discarded: peers that read the response only after
    /// their upload get it.
    pub(super) fn discard_upload(&mut self, at: usize) {
        let exchange = &mut self.exchanges[at];
        exchange.upload.end = EndState::Discarded;
        exchange.upload.pending = Vec::new();
        let owed = std::mem::take(&mut exchange.upload.uncredited);
        let stream = exchange.stream;
        self.peer.consumed(stream, owed);
    }

    /// Whether the upstream gets the body in chunks.
    pub(super) fn is_chunked(request: &RequestHead) -> bool {
        request.body == BodyLength::Unknown
    }

    /// Credits the peer for bytes that have left for the upstream.
    pub(super) fn credit(&mut self, at: usize) {
        let Some(exchange) = self.exchanges.get_mut(at) else { return };
        if exchange.upload.uncredited == 0 || exchange.upload.pending.len() >= limits::UPLOAD {
            return;
        }
        let connection = exchange.relay.as_ref().and_then(|relay| relay.connection);
        let unwritten = match connection.and_then(|number| self.slots.get(number)) {
            Some(Slot::Open { connection, .. }) => connection.unwritten(),
            // Nothing has left yet.
            Some(Slot::Connecting { .. }) | None => return,
        };
        if unwritten < limits::UPLOAD && exchange.upload.pending.is_empty() {
            let owed = std::mem::take(&mut exchange.upload.uncredited);
            let stream = exchange.stream;
            self.peer.consumed(stream, owed);
        }
    }

    /// Passes a part of a request's body on, behind what still waits.
    pub(super) fn push_upload(&mut self, at: usize, bytes: &[u8]) {
        let Some(exchange) = self.exchanges.get_mut(at) else { return };
        if exchange.upload.end != EndState::Owed {
            return;
        }
        let is_tunnel = exchange.is_tunnel();
        let Some(relay) = &mut exchange.relay else { return };
        let open = relay.connection.and_then(|number| self.slots.get_mut(number));
        let Some(Slot::Open { connection, .. }) = open else {
            exchange.upload.pending.extend_from_slice(bytes);
            return;
        };
        let upload = &mut exchange.upload;
        let complete = upload.state == UploadState::Complete;
        let chunked = Self::is_chunked(&exchange.request);
        if exchange.tunnel == TunnelState::Asked {
            // The upstream must not take these bytes for a request.
            upload.pending.extend_from_slice(bytes);
            return;
        }
        match &mut connection.codec {
            Codec::Http1(_) => {
                let output = &mut connection.output;
                for part in [&mem::take(&mut upload.pending)[..], bytes] {
                    match chunked {
                        true => http1::chunk(output, part),
                        false => output.extend_from_slice(part),
                    }
                }
                if complete {
                    if chunked {
                        let trailers = upload.trailers.take().unwrap_or_default();
                        http1::last_chunk(output, &trailers, relay.plan.case);
                    }
                    if is_tunnel {
                        connection.shutdown = Shutdown::Due;
                    }
                    upload.end = EndState::Sent;
                }
                if connection.output.len() > limits::REPEATABLE {
                    relay.repetition = Repetition::Impossible;
                    connection.hold_no_longer();
                }
            }
            Codec::Http2(codec) => {
                upload.pending.extend_from_slice(bytes);
                // Without a stream, the request waits for the upstream's SETTINGS.
                let Some(stream) = relay.upstream_stream else { return };
                let end = match complete && upload.trailers.is_none() {
                    true => End::Yes,
                    false => End::No,
                };
                let taken = match upload.pending.is_empty() && end == End::No {
                    true => 0,
                    false => codec.send_data(stream, &upload.pending, end),
                };
                if relay.repetition == Repetition::Possible {
                    match relay.sent.len() + taken <= limits::REPEATABLE {
                        true => relay.sent.extend_from_slice(&upload.pending[..taken]),
                        false => {
                            relay.repetition = Repetition::Impossible;
                            relay.sent = Vec::new();
                        }
                    }
                }
                upload.pending.drain(..taken);
                if complete && upload.pending.is_empty() {
                    if let Some(trailers) = &upload.trailers {
                        codec.send_trailers(stream, trailers);
                    }
                    upload.end = EndState::Sent;
                }
            }
        }
        if let Some(number) = relay.connection
            && self.dirty.last() != Some(&number)
        {
            self.dirty.push(number);
        }
    }
}

/// Writes the head of a request, or the whole of one that is sent again.
pub(super) fn write_head(output: &mut Vec<u8>, exchange: &mut Exchange) {
    if let Some(relay) = &mut exchange.relay
        && !relay.sent.is_empty()
    {
        *output = mem::take(&mut relay.sent);
        return;
    }
    let case = exchange.relay.as_ref().map_or(NameCase::Lower, |relay| relay.plan.case);
    let request = &exchange.request;
    http1::request_line(output, &request.method, &request.path);
    for field in request.fields.iter() {
        http1::field(output, field.name, field.value, case);
    }
    match request.body {
        BodyLength::Unknown => {
            http1::field(output, b"transfer-encoding", b"chunked", case);
        }
        // RFC 9110, 8.6: a method that defines a meaning for a body has a length.
        BodyLength::Empty if matches!(&request.method[..], b"POST" | b"PUT" | b"PATCH") => {
            http1::field(output, b"content-length", b"0", case);
        }
        BodyLength::Empty | BodyLength::Known(_) => {}
    }
    http1::end_of_head(output);
    if request.body == BodyLength::Empty && exchange.tunnel == TunnelState::None {
        exchange.upload.end = EndState::Sent;
    }
}
