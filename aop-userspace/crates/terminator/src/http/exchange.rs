//! A request and its response, from the head of the request until both are complete.

use aop_http::{Fields, RequestHead, ResponseHead, http2::StreamId};
use tokio::sync::OwnedSemaphorePermit;

use super::request_policy::RequestPlan;

/// A request and its response.
pub(super) struct Exchange {
    /// The peer's stream. HTTP/1.1 has one.
    pub(super) stream: StreamId,
    /// The head of the request, as the upstream gets it.
    pub(super) request: RequestHead,
    pub(super) upload: Upload,
    pub(super) response: ResponseState,
    /// Bytes of the response that wait for the peer's window.
    pub(super) held: Vec<u8>,
    /// The upstream's response has ended, with these trailers, behind the bytes in `held`.
    pub(super) held_end: Option<Option<Fields>>,
    pub(super) tunnel: TunnelState,
    /// How it is relayed; `None` if aop answers it.
    pub(super) relay: Option<RelayState>,
    /// When a byte of it moved last, in milliseconds of the connection's clock.
    pub(super) moved: u64,
    /// When its response was complete.
    pub(super) completed: u64,
}

/// The upstream's side of an exchange.
pub(super) struct RelayState {
    pub(super) plan: RequestPlan,
    pub(super) permit: OwnedSemaphorePermit,
    /// The upstream connection, by its number. `Exchanges::bind` sets it.
    pub(super) connection: Option<usize>,
    /// Its stream there, in HTTP/2.
    pub(super) upstream_stream: Option<StreamId>,
    /// The body so far, for another attempt over HTTP/2.
    pub(super) sent: Vec<u8>,
    pub(super) repetition: Repetition,
}

/// Whether the request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    /// Everything that was sent is still held.
    Possible,
    /// It was sent again already, or a part of it is no longer held.
    Impossible,
}

/// The body of a request.
#[derive(Default)]
pub(super) struct Upload {
    pub(super) state: UploadState,
    /// Bytes that wait for the upstream's connection, or for its window.
    pub(super) pending: Vec<u8>,
    /// Bytes that the peer's window does not have back yet.
    pub(super) uncredited: usize,
    /// The trailer fields, once it is complete.
    pub(super) trailers: Option<Fields>,
    /// Whether the upstream has its end.
    pub(super) end: EndState,
    /// Bytes that were read after the response, and discarded.
    pub(super) discarded: u64,
}

/// Where the body of a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UploadState {
    /// The peer sends it.
    #[default]
    Open,
    /// The peer has sent all of it.
    Complete,
}

/// Whether the upstream takes the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum EndState {
    /// It does, and has not its end yet.
    #[default]
    Owed,
    /// It has all of it.
    Sent,
    /// It takes no more: what the peer still sends is read and discarded.
    Discarded,
}

/// The tunnel of an exchange over HTTP/2: a WebSocket of an extended CONNECT (RFC 8441). The bytes
/// of its stream are those of the upstream's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TunnelState {
    /// The peer asked for none, or the upstream refused it.
    None,
    /// The upstream has not answered yet.
    Asked,
    Open,
    /// The upstream has ended its side.
    HalfClosed,
}

/// Where the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseState {
    /// Its head has not arrived.
    Waiting,
    /// The peer has its head.
    Begun,
    /// The peer's protocol has its end.
    Complete,
}

impl Exchange {
    /// An exchange that begins at `now`.
    pub(super) fn new(stream: StreamId, request: RequestHead, now: u64) -> Self {
        Self {
            stream,
            request,
            upload: Upload::default(),
            response: ResponseState::Waiting,
            held: Vec::new(),
            held_end: None,
            tunnel: TunnelState::None,
            relay: None,
            moved: now,
            completed: now,
        }
    }

    /// Whether both its request and its response are complete.
    pub(super) fn is_complete(&self) -> bool {
        self.response == ResponseState::Complete && self.upload.state == UploadState::Complete
    }

    /// Whether it has become a tunnel.
    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self.tunnel, TunnelState::Open | TunnelState::HalfClosed)
    }

    /// Whether it is a tunnel of which both directions are open.
    pub(super) fn is_resting_tunnel(&self) -> bool {
        self.tunnel == TunnelState::Open && self.upload.state == UploadState::Open
    }

    /// Whether a method has the same effect if it is sent twice (RFC 9110, 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        matches!(
            &self.request.method[..],
            b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
        )
    }
}

/// A short answer of aop: its head and its body.
pub(super) fn answer(response: &mut ResponseHead, status: u16, content_type: &[u8], text: &str) {
    response.clear();
    response.status = status;
    response.fields.push(b"content-type", content_type);
    let length = text.len();
    response.fields.push(b"content-length", length.to_string().as_bytes());
    response.body = aop_http::BodyLength::Known(length as u64);
}
