//! DATA (RFC 9113, 6.1).

use super::{Reading, Step};
use crate::{
    fault::{Fault, Malformed},
    http2::{
        Connection, ErrorCode, StreamEvent, StreamId,
        connection::Role,
        error::ConnectionError,
        frame::{self, FrameHeader},
        limits::Limit,
        past::PastState,
        streams::{Receiving, Sending, Standing, Stream},
    },
};

/// The rest of a DATA frame.
#[derive(Clone, Copy, Debug)]
pub(in crate::http2) struct DataFrame {
    stream: StreamId,
    /// Bytes of the body.
    data: usize,
    /// Bytes that are skipped: padding, or the body of a stream that is gone. The window of the
    /// connection has them back.
    skipped: usize,
    end: bool,
}

/// How a body differs from its announced length.
#[derive(Clone, Copy, Debug)]
pub(super) enum LengthFault {
    Short,
    Long,
}

/// How the frame is received.
enum Reception {
    Delivered,
    /// The stream takes no body, which is no error.
    Ignored,
    /// The stream is reset because of this frame.
    Reset(ErrorCode),
    Malformed(Malformed),
    /// The body is too short, but its response has begun.
    Truncated,
}

impl Connection {
    /// Checks the beginning of a DATA frame.
    pub(super) fn begin_data(
        &mut self,
        header: FrameHeader,
        input: &mut &[u8],
    ) -> Result<Step<'static>, ConnectionError> {
        let stream = header.of_stream()?;
        let (start, padding) = if header.has(frame::PADDED) {
            if header.length == 0 {
                return Err(ErrorCode::FrameSize.because("padded DATA is empty"));
            }
            let Some(padding) = input.get(frame::HEADER) else {
                return Ok(Step::Starved);
            };
            (1, usize::from(*padding))
        } else {
            (0, 0)
        };
        let Some(data) = header.length.checked_sub(start + padding) else {
            return Err(ErrorCode::ProtocolError.because("padding is longer than its frame"));
        };
        *input = &input[frame::HEADER + start..];
        let length = u32::try_from(header.length).unwrap_or(u32::MAX);
        self.receive_window
            .receive(length)
            .map_err(|_| ErrorCode::FlowControl.because("DATA exceeds the connection's window"))?;
        let end = header.has(frame::END_STREAM);
        let mut frame = DataFrame { stream, data, skipped: padding, end };
        let reception = self.receive_on(frame, length)?;
        let event = match reception {
            Reception::Delivered => {
                let unused = start + padding;
                if unused > 0 {
                    self.consumed(stream, unused);
                }
                if data == 0 && !end {
                    self.count(Limit::EmptyData)?;
                }
                self.reading = Reading::Data(frame);
                return Ok(Step::Done);
            }
            Reception::Ignored => None,
            Reception::Reset(code) => {
                let was_open = self.streams.get(stream).is_some();
                self.reset_for_fault(stream, code)?;
                was_open.then_some(StreamEvent::Reset { stream, code })
            }
            Reception::Malformed(fault) => {
                self.reset_for_fault(stream, ErrorCode::ProtocolError)?;
                Some(StreamEvent::Malformed { stream, fault })
            }
            Reception::Truncated => {
                self.end_receiving(stream);
                Some(StreamEvent::Truncated { stream })
            }
        };
        self.credit(header.length);
        frame.skip_all();
        self.reading = Reading::Data(frame);
        Ok(event.map_or(Step::Done, Step::Event))
    }

    /// Counts a DATA frame with `length` bytes, padding included, on its stream.
    fn receive_on(&mut self, frame: DataFrame, length: u32) -> Result<Reception, ConnectionError> {
        let DataFrame { stream, data, end, .. } = frame;
        let Some(open) = self.streams.get_mut(stream) else {
            return self.receive_on_closed(stream);
        };
        if open.receiving == Receiving::Ended {
            return Ok(Reception::Reset(ErrorCode::StreamClosed));
        }
        if open.receive_window.receive(length).is_err() {
            return Ok(Reception::Reset(ErrorCode::FlowControl));
        }
        if open.standing == Standing::Malformed {
            if end {
                self.end_receiving(stream);
            }
            return Ok(Reception::Ignored);
        }
        if open.receiving == Receiving::Head {
            // RFC 9113, 8.1: HEADERS come first.
            return Ok(Reception::Malformed(Fault::PseudoField.of(b":status")));
        }
        let Err(fault) = open.expect(data, end) else { return Ok(Reception::Delivered) };
        // RFC 9113, 8.1.1: a response may go before the reset. One that has begun is completed.
        let responding = self.role == Role::Server && open.sending != Sending::Head;
        match fault {
            LengthFault::Short if responding => Ok(Reception::Truncated),
            LengthFault::Short | LengthFault::Long => Ok(Reception::Malformed(fault.into())),
        }
    }

    fn receive_on_closed(&mut self, stream: StreamId) -> Result<Reception, ConnectionError> {
        match self.past_state(stream) {
            PastState::Idle | PastState::Skipped => {
                Err(ErrorCode::ProtocolError.because("DATA is on a stream that was never open"))
            }
            PastState::Complete | PastState::ResetByPeer => {
                Ok(Reception::Reset(ErrorCode::StreamClosed))
            }
            PastState::ResetHere | PastState::Forgotten => {
                self.count(Limit::LateFrames)?;
                Ok(Reception::Ignored)
            }
        }
    }

    /// Passes on what is there of a DATA frame.
    pub(super) fn read_data<'a>(&mut self, mut frame: DataFrame, input: &mut &'a [u8]) -> Step<'a> {
        let stream = frame.stream;
        if (frame.data > 0 || frame.end) && !self.is_open(stream) {
            // The caller has reset it.
            self.credit(frame.data);
            frame.skip_all();
        }
        if frame.data == 0 && !frame.end {
            frame.skipped -= split(input, frame.skipped).len();
            if frame.skipped > 0 {
                self.reading = Reading::Data(frame);
                return Step::Starved;
            }
            self.reading = Reading::Frame;
            return Step::Done;
        }
        if frame.data > 0 && input.is_empty() {
            self.reading = Reading::Data(frame);
            return Step::Starved;
        }
        let bytes = split(input, frame.data);
        frame.data -= bytes.len();
        let end = frame.end && frame.data == 0;
        if end {
            frame.end = false;
            self.end_receiving(stream);
        }
        self.reading = Reading::Data(frame);
        Step::Event(StreamEvent::Data { stream, bytes, end })
    }

    /// The peer's side of a stream has ended.
    pub(super) fn end_receiving(&mut self, stream: StreamId) {
        if let Some(open) = self.streams.get_mut(stream) {
            open.receiving = Receiving::Ended;
            self.remove_if_complete(stream);
        }
    }

    /// The state of a stream that is not open.
    pub(super) fn past_state(&self, stream: StreamId) -> PastState {
        // The streams of both roles are those of the client: there is no server push.
        match stream.get() % 2 {
            0 => PastState::Idle,
            _ => self.past.state(stream),
        }
    }
}

impl DataFrame {
    /// Skips what is left.
    fn skip_all(&mut self) {
        self.skipped += std::mem::take(&mut self.data);
        self.end = false;
    }
}

impl Stream {
    /// Counts bytes of the body against its announced length.
    pub(super) fn expect(&mut self, bytes: usize, end: bool) -> Result<(), LengthFault> {
        let Some(left) = &mut self.length else { return Ok(()) };
        *left = left.checked_sub(bytes as u64).ok_or(LengthFault::Long)?;
        if end && *left > 0 { Err(LengthFault::Short) } else { Ok(()) }
    }
}

impl From<LengthFault> for Malformed {
    fn from(_: LengthFault) -> Self {
        Fault::BodyLength.into()
    }
}

/// Takes at most `length` bytes from the front of `input`.
fn split<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (front, rest) = input.split_at(length.min(input.len()));
    *input = rest;
    front
}
