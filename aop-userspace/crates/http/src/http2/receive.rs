//! The receiving side: frames from bytes, in the order that RFC 9113 allows.
//!
//! A frame other than DATA is handled when all of it is there, and straight from the input. The
//! payload of DATA is passed on as it arrives.

mod control;
mod data;
mod headers;

pub(super) use data::DataFrame;
pub(super) use headers::Pending;

use super::{
    Connection, ErrorCode, StreamEvent,
    connection::PREFACE,
    error::ConnectionError,
    frame::{self, FrameHeader, Kind},
    limits::Limit,
    past::PastState,
};

/// The kind of the next bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// The rest of the client's preface; so many bytes of it were read.
    Preface(usize),
    /// The peer's first frame, which is SETTINGS (RFC 9113, 3.4).
    FirstFrame,
    Frame,
    Data(DataFrame),
    Failed(ConnectionError),
}

/// The outcome of reading a piece of the input.
enum Step<'a> {
    Event(StreamEvent<'a>),
    /// Something was read, and nothing happened.
    Done,
    /// More input is needed.
    Starved,
}

impl Connection {
    /// Consumes bytes from the front of `input`, until something happens. `None`: more input is
    /// needed; the caller keeps what is left of this one (less than 16,393 bytes) in front of it.
    /// `now` is a time in milliseconds.
    ///
    /// # Errors
    /// The connection must end: [`Connection::fail`] tells the peer.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a [u8],
        now: u64,
    ) -> Result<Option<StreamEvent<'a>>, ConnectionError> {
        self.now = now;
        let received = self.receive_next(input);
        if let Err(error) = &received {
            self.reading = Reading::Failed(*error);
        }
        received
    }

    fn receive_next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<StreamEvent<'a>>, ConnectionError> {
        loop {
            if let Some(event) = self.owed_event() {
                return Ok(Some(event));
            }
            let step = match self.reading {
                Reading::Failed(error) => return Err(error),
                Reading::Preface(read) => self.read_preface(read, input)?,
                Reading::Data(data) => self.read_data(data, input),
                Reading::FirstFrame | Reading::Frame => self.read_frame(input)?,
            };
            match step {
                Step::Event(event) => return Ok(Some(event)),
                Step::Starved => return Ok(None),
                Step::Done => {}
            }
        }
    }

    /// An event behind one that the caller has.
    fn owed_event(&mut self) -> Option<StreamEvent<'static>> {
        if let Some(limit) = self.exceeded.take() {
            return Some(StreamEvent::Limit { limit });
        }
        let left_out = self.streams.pop_above(self.peer_last?)?;
        self.past.close(left_out.id, PastState::ResetByPeer);
        Some(StreamEvent::Reset { stream: left_out.id, code: ErrorCode::RefusedStream })
    }

    /// Reads the client's preface.
    fn read_preface(
        &mut self,
        read: usize,
        input: &mut &[u8],
    ) -> Result<Step<'static>, ConnectionError> {
        let expected = &PREFACE[read..];
        let length = expected.len().min(input.len());
        if input[..length] != expected[..length] {
            return Err(ErrorCode::ProtocolError.because("the preface is not that of HTTP/2"));
        }
        *input = &input[length..];
        if length < expected.len() {
            self.reading = Reading::Preface(read + length);
            return Ok(Step::Starved);
        }
        self.reading = Reading::FirstFrame;
        Ok(Step::Done)
    }

    /// Reads one frame, or the beginning of DATA.
    fn read_frame(&mut self, input: &mut &[u8]) -> Result<Step<'static>, ConnectionError> {
        let Some(header) = FrameHeader::read(input) else { return Ok(Step::Starved) };
        if header.length > frame::LONGEST {
            return Err(ErrorCode::FrameSize.because("a frame is longer than 16,384 bytes"));
        }
        if matches!(self.reading, Reading::FirstFrame) && header.is_not_settings() {
            return Err(ErrorCode::ProtocolError.because("the first frame is not SETTINGS"));
        }
        if self.pending.is_some() && header.kind != Kind::Continuation {
            return Err(ErrorCode::ProtocolError.because("CONTINUATION is missing"));
        }
        if header.kind == Kind::Data {
            return self.begin_data(header, input);
        }
        let whole = frame::HEADER + header.length;
        if input.len() < whole {
            return Ok(Step::Starved);
        }
        let payload = &input[frame::HEADER..whole];
        *input = &input[whole..];
        self.reading = Reading::Frame;
        let event = self.take_frame(header, payload)?;
        Ok(event.map_or(Step::Done, Step::Event))
    }

    /// Handles a frame other than DATA.
    fn take_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<StreamEvent<'static>>, ConnectionError> {
        match header.kind {
            Kind::Headers => self.on_headers(header, payload),
            Kind::Continuation => self.on_continuation(header, payload),
            Kind::Priority => self.on_priority(header, payload),
            Kind::RstStream => self.on_rst_stream(header, payload),
            Kind::Settings => self.on_settings(header, payload),
            Kind::Ping => self.on_ping(header, payload),
            Kind::GoAway => self.on_go_away(header, payload),
            Kind::WindowUpdate => self.on_window_update(header, payload),
            // RFC 9113, 8.4: this side never pushes, and has forbidden it.
            Kind::PushPromise => Err(ErrorCode::ProtocolError.because("there is no server push")),
            // RFC 9113, 5.5.
            Kind::Unknown => self.count(Limit::IgnoredFrames).map(|()| None),
            // It is read in parts, and never comes here.
            Kind::Data => Ok(None),
        }
    }
}

impl FrameHeader {
    fn is_not_settings(&self) -> bool {
        self.kind != Kind::Settings || self.has(frame::ACK)
    }
}
