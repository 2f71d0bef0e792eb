//! The peer's side of the relay, the same for both versions of HTTP.

use aop_http::{
    BodyLength, Fields, Malformed, RequestHead, ResponseHead, http1,
    http2::{self, ConnectionError, End, ErrorCode, Limit, StreamId},
};

/// The protocol of a peer's connection.
pub(super) enum Peer {
    Http1(Box<http1::Server>),
    Http2(Box<http2::Connection>),
}

/// An action of the peer.
pub(super) enum PeerEvent<'a> {
    /// The head of a request arrived; [`Peer::take_request`] has it.
    Request(StreamId, End),
    Data(StreamId, &'a [u8], End),
    /// The request is complete; [`Peer::trailers`] are its trailers.
    End(StreamId, Trailers),
    /// The peer ended its request before the announced length, as its response has begun.
    Truncated(StreamId),
    /// The peer withdrew its request, or its body was malformed and it was reset.
    Reset(StreamId, Option<Malformed>),
    /// The head is malformed. The stream waits for an answer.
    Malformed(StreamId, Malformed),
    /// The peer takes more data: on one stream, or on all.
    Writable(Option<StreamId>),
    /// The connection exceeds a rate, and is retired in order.
    Retired(Limit),
    /// Nothing that concerns the relay.
    Nothing,
}

/// Whether a message ended with trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trailers {
    None,
    Some,
}

/// The peer's bytes cannot be understood any more.
#[derive(Debug)]
pub(super) enum PeerFault {
    Http1(Malformed),
    Http2(ConnectionError),
}

fn number(server: &http1::Server) -> StreamId {
    StreamId::new(server.requests())
}

fn ended(end: bool) -> End {
    if end { End::Yes } else { End::No }
}

impl Peer {
    pub(super) fn http1() -> Self {
        Self::Http1(Box::default())
    }

    pub(super) fn http2(config: http2::ConnectionConfig) -> Self {
        Self::Http2(Box::new(http2::Connection::server(config)))
    }

    /// Consumes bytes from the front of `input`.
    ///
    /// # Errors
    /// The connection must end.
    pub(super) fn receive<'a>(
        &mut self,
        input: &mut &'a [u8],
        now: u64,
    ) -> Result<Option<PeerEvent<'a>>, PeerFault> {
        Ok(Some(match self {
            Self::Http1(server) => match server.receive(input).map_err(PeerFault::Http1)? {
                // A number of its own for each request: the one before may still be open towards
                // its upstream.
                None => return Ok(None),
                Some(http1::MessageEvent::Head) => PeerEvent::Request(number(server), End::No),
                Some(http1::MessageEvent::Data(bytes)) => {
                    PeerEvent::Data(number(server), bytes, End::No)
                }
                Some(http1::MessageEvent::End) => {
                    let none = server.trailers().is_empty();
                    PeerEvent::End(
                        number(server),
                        if none { Trailers::None } else { Trailers::Some },
                    )
                }
            },
            Self::Http2(connection) => {
                let event = connection.receive(input, now).map_err(PeerFault::Http2)?;
                let Some(event) = event else { return Ok(None) };
                match event {
                    http2::StreamEvent::Request { stream, end } => {
                        PeerEvent::Request(stream, ended(end))
                    }
                    http2::StreamEvent::Data { stream, bytes, end } => {
                        PeerEvent::Data(stream, bytes, ended(end))
                    }
                    http2::StreamEvent::Trailers { stream } => {
                        PeerEvent::End(stream, Trailers::Some)
                    }
                    http2::StreamEvent::Truncated { stream } => PeerEvent::Truncated(stream),
                    http2::StreamEvent::Reset { stream, .. } => PeerEvent::Reset(stream, None),
                    http2::StreamEvent::Malformed { stream, fault } => {
                        match connection.is_answerable(stream) {
                            true => PeerEvent::Malformed(stream, fault),
                            false => PeerEvent::Reset(stream, Some(fault)),
                        }
                    }
                    http2::StreamEvent::Writable { stream } => PeerEvent::Writable(stream),
                    http2::StreamEvent::Limit { limit } => PeerEvent::Retired(limit),
                    http2::StreamEvent::GoAway { .. } | http2::StreamEvent::Response { .. } => {
                        PeerEvent::Nothing
                    }
                }
            }
        }))
    }

    /// Exchanges `request` for the head that just arrived.
    pub(super) fn take_request(&mut self, request: &mut RequestHead) {
        match self {
            Self::Http1(server) => std::mem::swap(server.request_mut(), request),
            Self::Http2(connection) => std::mem::swap(connection.request_mut(), request),
        }
    }

    pub(super) fn trailers(&self) -> &Fields {
        match self {
            Self::Http1(server) => server.trailers(),
            Self::Http2(connection) => connection.trailers(),
        }
    }

    /// Writes an interim response.
    pub(super) fn respond_interim(&mut self, stream: StreamId, response: &ResponseHead) {
        match self {
            Self::Http1(server) => server.respond_interim(response),
            Self::Http2(connection) => connection.respond(stream, response, End::No),
        }
    }

    /// Writes the head of the final response to a request with this `method`.
    pub(super) fn respond(&mut self, stream: StreamId, response: &ResponseHead, method: &[u8]) {
        match self {
            Self::Http1(server) => server.respond(response, method),
            Self::Http2(connection) => {
                let empty = response.body == BodyLength::Empty || method == b"HEAD";
                let end = if empty { End::Yes } else { End::No };
                connection.respond(stream, response, end);
            }
        }
    }

    /// The number of bytes of a response that the peer's windows take now.
    pub(super) fn capacity(&self, stream: StreamId) -> usize {
        match self {
            Self::Http1(_) => usize::MAX,
            Self::Http2(connection) => connection.capacity(stream),
        }
    }

    /// Writes a part of a response, and returns how much of it was taken.
    pub(super) fn send(&mut self, stream: StreamId, bytes: &[u8], end: End) -> usize {
        match self {
            Self::Http1(server) => {
                let taken = server.send_data(bytes);
                if end == End::Yes && taken == bytes.len() {
                    // A response that is too short stays open: see `is_short`.
                    server.end_response(None).ok();
                }
                taken
            }
            Self::Http2(connection) => connection.send_data(stream, bytes, end),
        }
    }

    /// How many of the next `length` bytes of a response may be written without a framing of their
    /// own. Those that are written count with [`Self::count_unframed`].
    pub(super) fn unframed(&self, length: usize) -> usize {
        match self {
            Self::Http1(server) => server.unframed(length),
            Self::Http2(_) => 0,
        }
    }

    pub(super) fn count_unframed(&mut self, written: usize) {
        if let Self::Http1(server) = self {
            server.count_unframed(written);
        }
    }

    /// Ends a response with `trailers`.
    pub(super) fn send_trailers(&mut self, stream: StreamId, trailers: &Fields) {
        match self {
            Self::Http1(server) => {
                server.end_response(Some(trailers)).ok();
            }
            Self::Http2(connection) => connection.send_trailers(stream, trailers),
        }
    }

    /// Whether the response that was ended is shorter than its head says. The engine's client side
    /// compares too, so it is not expected.
    pub(super) fn is_short(&self) -> bool {
        match self {
            Self::Http1(server) => server.is_responding(),
            Self::Http2(_) => false,
        }
    }

    /// The bytes that say why the connection ends, after `fault`. HTTP/1.1 has none.
    pub(super) fn fail(&mut self, fault: &PeerFault) {
        if let (Self::Http2(connection), PeerFault::Http2(error)) = (self, fault) {
            connection.fail(error);
        }
    }

    /// Ends a stream of HTTP/2 at once. In HTTP/1.1 only the end of the connection does that.
    pub(super) fn reset(&mut self, stream: StreamId, code: ErrorCode) {
        if let Self::Http2(connection) = self {
            connection.reset(stream, code);
        }
    }

    /// The peer may send as many bytes more.
    pub(super) fn consumed(&mut self, stream: StreamId, bytes: usize) {
        if let Self::Http2(connection) = self {
            connection.consumed(stream, bytes);
        }
    }

    /// Bytes for the peer.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Http1(server) => server.output(),
            Self::Http2(connection) => connection.output(),
        }
    }

    /// Gives memory back that a connection at rest does not need.
    pub(super) fn shrink(&mut self) {
        match self {
            Self::Http1(server) => server.shrink(),
            Self::Http2(connection) => connection.shrink(),
        }
    }

    /// Accepts no request after those that are open.
    pub(super) fn shut_down(&mut self) {
        match self {
            Self::Http1(server) => server.close_after_response(),
            Self::Http2(connection) => connection.shutdown(),
        }
    }

    /// Whether the connection may be closed: it was shut down, and its last response is written.
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Http1(server) => server.is_closing() && !server.is_receiving(),
            Self::Http2(connection) => connection.is_shut_down(),
        }
    }
}
