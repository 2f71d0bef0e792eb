//! HEADERS and CONTINUATION (RFC 9113, 6.2 and 6.10): heads and trailers.
//!
//! The block is decoded to its end before anything is decided about its stream: the compression
//! state of the connection depends on it.

use crate::{
    fault::{Fault, Malformed},
    hpack::Decoder,
    http2::{
        Connection, End, ErrorCode, StreamEvent, StreamId,
        connection::Role,
        error::ConnectionError,
        frame::{self, FrameHeader},
        head::{Outcome, Section, SectionReader, check_request, check_response},
        limits::Limit,
        past::PastState,
        streams::{Method, Receiving, Sending, Standing, Stream},
        window::{ReceiveWindow, SendWindow},
    },
};

/// A block may have this many times the size that is announced: its list is then refused alone. A
/// larger one ends the connection.
const TOLERANCE: usize = 4;
/// The largest number of CONTINUATION frames of a block. With full frames, 35 hold the largest one.
const CONTINUATIONS: u32 = 64;

/// A header block as its HEADERS frame describes it.
#[derive(Clone, Copy, Debug)]
pub(in crate::http2) struct Pending {
    stream: StreamId,
    end: End,
    dependency: Dependency,
    /// The number of CONTINUATION frames so far.
    continuations: u32,
}

/// The stream on which a priority signal makes a stream depend (RFC 7540, 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dependency {
    Valid,
    /// On itself, which is an error.
    Circular,
}

impl Dependency {
    pub(super) fn new(stream: StreamId, on: [u8; 4]) -> Self {
        if frame::number(on) == stream.get() { Self::Circular } else { Self::Valid }
    }
}

/// Content-Length, or the fault of a message.
type Checked = Result<Option<u64>, Malformed>;

/// The use of a header block.
enum Use {
    Request,
    Response(Method),
    Trailers,
    /// Nothing: the peer did not know yet that the stream was reset.
    Ignored,
    /// Nothing: the stream is reset because of this block.
    Reset(ErrorCode),
}

impl Connection {
    pub(super) fn on_headers(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<StreamEvent<'static>>, ConnectionError> {
        let stream = header.of_stream()?;
        let mut block = payload;
        let padding = match header.has(frame::PADDED) {
            true => usize::from(take::<1>(&mut block)?[0]),
            false => 0,
        };
        let dependency = match header.has(frame::PRIORITY) {
            true => {
                let [d0, d1, d2, d3, _] = take::<5>(&mut block)?;
                Dependency::new(stream, [d0, d1, d2, d3])
            }
            false => Dependency::Valid,
        };
        let Some(length) = block.len().checked_sub(padding) else {
            return Err(ErrorCode::ProtocolError.because("padding is longer than its frame"));
        };
        let block = &block[..length];
        let end = if header.has(frame::END_STREAM) { End::Yes } else { End::No };
        let pending = Pending { stream, end, dependency, continuations: 0 };
        if header.has(frame::END_HEADERS) {
            return self.on_block(pending, block);
        }
        self.block.clear();
        self.block.extend_from_slice(block);
        self.pending = Some(pending);
        Ok(None)
    }

    pub(super) fn on_continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<StreamEvent<'static>>, ConnectionError> {
        let mut pending = match self.pending.take() {
            Some(pending) if pending.stream == header.stream => pending,
            Some(_) | None => {
                return Err(ErrorCode::ProtocolError.because("CONTINUATION continues no block"));
            }
        };
        pending.continuations += 1;
        let size = self.block.len() + payload.len();
        if pending.continuations > CONTINUATIONS || size > self.largest_block() {
            return Err(ErrorCode::EnhanceYourCalm.because("a header block is too long"));
        }
        self.block.extend_from_slice(payload);
        if !header.has(frame::END_HEADERS) {
            self.pending = Some(pending);
            return Ok(None);
        }
        let block = std::mem::take(&mut self.block);
        self.on_block(pending, &block)
    }

    fn largest_block(&self) -> usize {
        (self.config.max_head as usize).saturating_mul(TOLERANCE)
    }

    /// Handles a whole header block.
    fn on_block(
        &mut self,
        pending: Pending,
        block: &[u8],
    ) -> Result<Option<StreamEvent<'static>>, ConnectionError> {
        let Pending { stream, end, dependency, .. } = pending;
        let mut usage = self.use_of(stream)?;
        if let Use::Request = usage {
            self.past.open(stream);
            let full = self.streams.len() >= self.config.max_streams as usize;
            if full || self.refuses_streams() {
                usage = Use::Reset(ErrorCode::RefusedStream);
            }
        }
        if dependency == Dependency::Circular && !matches!(usage, Use::Ignored) {
            usage = Use::Reset(ErrorCode::ProtocolError);
        }
        let limit = self.config.max_head;
        match usage {
            Use::Request => {
                self.request.clear();
                let length = decode(&mut self.decoder, &mut self.request, block, limit)?;
                let checked = length.and_then(|length| {
                    let extended = self.config.extended_connect;
                    check_request(&mut self.request, length, end.is_yes(), extended)?;
                    Ok(length)
                });
                self.begin_request(stream, end, checked).map(Some)
            }
            Use::Response(method) => {
                self.response.clear();
                let length = decode(&mut self.decoder, &mut self.response, block, limit)?;
                let checked = length.and_then(|length| {
                    check_response(&mut self.response, length, end.is_yes(), method)
                });
                self.begin_response(stream, end, checked).map(Some)
            }
            Use::Trailers => {
                self.trailers.clear();
                let checked = decode(&mut self.decoder, &mut self.trailers, block, limit)?;
                self.end_with_trailers(stream, end, checked.map(|_| ())).map(Some)
            }
            Use::Ignored => {
                self.discard_block(block)?;
                if end.is_yes() {
                    self.end_receiving(stream);
                }
                self.count(Limit::LateFrames)?;
                Ok(None)
            }
            Use::Reset(code) => {
                self.discard_block(block)?;
                let was_open = self.is_open(stream);
                self.reset_for_fault(stream, code)?;
                Ok(was_open.then_some(StreamEvent::Reset { stream, code }))
            }
        }
    }

    /// The use of a header block on this stream (RFC 9113, 5.1).
    fn use_of(&self, stream: StreamId) -> Result<Use, ConnectionError> {
        if let Some(open) = self.streams.get(stream) {
            return Ok(match (open.receiving, open.standing) {
                (Receiving::Ended, _) => Use::Reset(ErrorCode::StreamClosed),
                (_, Standing::Malformed) => Use::Ignored,
                (Receiving::Head, Standing::Sound) => Use::Response(open.method),
                (Receiving::Body, Standing::Sound) => Use::Trailers,
            });
        }
        match self.past_state(stream) {
            PastState::Idle if self.role == Role::Server && stream.get() % 2 == 1 => {
                Ok(Use::Request)
            }
            PastState::Idle => {
                Err(ErrorCode::ProtocolError.because("HEADERS open a stream of the wrong side"))
            }
            PastState::Skipped => {
                Err(ErrorCode::ProtocolError.because("a stream is below an earlier one"))
            }
            PastState::Complete => {
                Err(ErrorCode::StreamClosed.because("HEADERS are on a stream that has ended"))
            }
            PastState::ResetByPeer => Ok(Use::Reset(ErrorCode::StreamClosed)),
            PastState::ResetHere | PastState::Forgotten => Ok(Use::Ignored),
        }
    }

    /// Decodes a block whose fields nobody needs.
    fn discard_block(&mut self, block: &[u8]) -> Result<(), ConnectionError> {
        self.decoder.decode(block, |_| {}).map_err(|_| UNREADABLE)
    }

    /// A new stream, with a request or with a malformed one.
    fn begin_request(
        &mut self,
        stream: StreamId,
        end: End,
        checked: Checked,
    ) -> Result<StreamEvent<'static>, ConnectionError> {
        self.processed = stream;
        let standing = if checked.is_ok() { Standing::Sound } else { Standing::Malformed };
        self.streams.push(Stream {
            id: stream,
            receiving: if end.is_yes() { Receiving::Ended } else { Receiving::Body },
            sending: Sending::Head,
            standing,
            method: Method::Other,
            send_window: SendWindow::new(self.peer.initial_window),
            receive_window: ReceiveWindow::new(self.config.stream_window),
            length: checked.as_ref().ok().copied().flatten(),
        });
        match checked {
            Ok(_) => Ok(StreamEvent::Request { stream, end: end.is_yes() }),
            Err(fault) => {
                self.count(Limit::Faults)?;
                Ok(StreamEvent::Malformed { stream, fault })
            }
        }
    }

    /// The head of a response on an open stream.
    fn begin_response(
        &mut self,
        stream: StreamId,
        end: End,
        checked: Checked,
    ) -> Result<StreamEvent<'static>, ConnectionError> {
        let length = match checked {
            Ok(length) => length,
            Err(fault) => return self.refuse_message(stream, fault),
        };
        if !self.response.is_interim()
            && let Some(open) = self.streams.get_mut(stream)
        {
            open.receiving = Receiving::Body;
            open.length = length;
            if end.is_yes() {
                self.end_receiving(stream);
            }
        }
        Ok(StreamEvent::Response { stream, end: end.is_yes() })
    }

    /// Trailers end a message (RFC 9113, 8.1).
    fn end_with_trailers(
        &mut self,
        stream: StreamId,
        end: End,
        checked: Result<(), Malformed>,
    ) -> Result<StreamEvent<'static>, ConnectionError> {
        let checked = checked.and_then(|()| match self.streams.get_mut(stream) {
            _ if !end.is_yes() => Err(Fault::PseudoField.into()),
            Some(open) => open.expect(0, true).map_err(Malformed::from),
            None => Ok(()),
        });
        if let Err(fault) = checked {
            return self.refuse_message(stream, fault);
        }
        self.end_receiving(stream);
        Ok(StreamEvent::Trailers { stream })
    }

    /// Resets a stream whose message is malformed.
    fn refuse_message(
        &mut self,
        stream: StreamId,
        fault: Malformed,
    ) -> Result<StreamEvent<'static>, ConnectionError> {
        self.reset_for_fault(stream, ErrorCode::ProtocolError)?;
        Ok(StreamEvent::Malformed { stream, fault })
    }
}

const UNREADABLE: ConnectionError =
    ErrorCode::Compression.because("a header block cannot be decoded");

/// Decodes a block into an empty section, with a list of at most `limit` bytes.
fn decode(
    decoder: &mut Decoder,
    section: &mut impl Section,
    block: &[u8],
    limit: u32,
) -> Result<Checked, ConnectionError> {
    let limit = limit as usize;
    let mut reader = SectionReader::new(section, limit);
    decoder.decode(block, |field| reader.field(field)).map_err(|_| UNREADABLE)?;
    let Outcome { size, length } = reader.finish();
    match size > limit.saturating_mul(TOLERANCE) {
        true => Err(ErrorCode::EnhanceYourCalm.because("a header list is too long")),
        false => Ok(length),
    }
}

/// Takes `N` bytes from the front of a payload.
fn take<const N: usize>(payload: &mut &[u8]) -> Result<[u8; N], ConnectionError> {
    let Some((front, rest)) = payload.split_first_chunk::<N>() else {
        return Err(ErrorCode::FrameSize.because("a frame is too short for its fields"));
    };
    *payload = rest;
    Ok(*front)
}
