//! The frames that carry no part of a message: PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY and
//! WINDOW_UPDATE (RFC 9113, 6.3 to 6.9).

use super::headers::Dependency;
use crate::http2::{
    Connection, ErrorCode, StreamEvent, StreamId,
    connection::Role,
    error::ConnectionError,
    frame::{self, FrameHeader, Kind},
    limits::{Limit, SMALL_UPDATE},
    past::PastState,
    streams::Sending,
    window::Reopened,
};

/// An event, or nothing that concerns the caller.
type Handled = Result<Option<StreamEvent<'static>>, ConnectionError>;

const TOO_LARGE: ConnectionError =
    ErrorCode::FlowControl.because("a flow-control window is larger than 2^31-1");

impl Connection {
    /// Priorities are ignored, but a signal that is wrong is an error (RFC 9113, 6.3).
    pub(super) fn on_priority(&mut self, header: FrameHeader, payload: &[u8]) -> Handled {
        let stream = header.of_stream()?;
        self.count(Limit::IgnoredFrames)?;
        let code = match *payload {
            [d0, d1, d2, d3, _] => match Dependency::new(stream, [d0, d1, d2, d3]) {
                Dependency::Valid => return Ok(None),
                Dependency::Circular => ErrorCode::ProtocolError,
            },
            _ => ErrorCode::FrameSize,
        };
        match self.is_open(stream) {
            true => self.fail_stream(stream, code),
            // RST_STREAM cannot be sent on an idle stream (RFC 9113, 6.4).
            false => Err(code.because("PRIORITY is malformed")),
        }
    }

    pub(super) fn on_rst_stream(&mut self, header: FrameHeader, payload: &[u8]) -> Handled {
        let stream = header.of_stream()?;
        let code = ErrorCode::from(u32::from_be_bytes(header.exactly(payload)?));
        self.check_used(stream)?;
        if self.streams.remove(stream).is_none() {
            self.count(Limit::LateFrames)?;
            return Ok(None);
        }
        self.past.close(stream, PastState::ResetByPeer);
        self.count(Limit::Resets)?;
        Ok(Some(StreamEvent::Reset { stream, code }))
    }

    pub(super) fn on_settings(&mut self, header: FrameHeader, payload: &[u8]) -> Handled {
        header.of_connection()?;
        if header.has(frame::ACK) {
            header.exactly::<0>(payload)?;
            // There is one for each SETTINGS of this side. Others cost nothing.
            self.count(Limit::Settings)?;
            return Ok(None);
        }
        self.count(Limit::Settings)?;
        let before = self.peer.clone();
        self.peer.apply(payload, self.role, &mut self.encoder)?;
        let by = i64::from(self.peer.initial_window) - i64::from(before.initial_window);
        if by != 0 {
            for stream in self.streams.iter_mut() {
                // RFC 9113, 6.9.2: also if the window becomes negative.
                stream.send_window.shift(by).map_err(|_| TOO_LARGE)?;
            }
        }
        frame::write_header(&mut self.output, 0, Kind::Settings, frame::ACK, header.stream);
        let more =
            by > 0 || !before.has_arrived() || self.peer.max_streams() > before.max_streams();
        Ok(more.then_some(StreamEvent::Writable { stream: None }))
    }

    pub(super) fn on_ping(&mut self, header: FrameHeader, payload: &[u8]) -> Handled {
        header.of_connection()?;
        let payload = header.exactly(payload)?;
        self.count(Limit::Pings)?;
        match header.has(frame::ACK) {
            true => self.pong(payload),
            false => frame::write_ping(&mut self.output, frame::ACK, payload),
        }
        Ok(None)
    }

    pub(super) fn on_go_away(&mut self, header: FrameHeader, payload: &[u8]) -> Handled {
        header.of_connection()?;
        let Some((&[l0, l1, l2, l3, c0, c1, c2, c3], _)) = payload.split_first_chunk::<8>() else {
            return Err(ErrorCode::FrameSize.because("GOAWAY has a wrong length"));
        };
        let last = StreamId::new(frame::number([l0, l1, l2, l3]));
        let code = ErrorCode::from(u32::from_be_bytes([c0, c1, c2, c3]));
        self.count(Limit::IgnoredFrames)?;
        // The streams that a client's GOAWAY names are those of server push.
        let of_client = if self.role == Role::Client { last } else { StreamId::LAST };
        self.peer_last = Some(self.peer_last.map_or(of_client, |before| before.min(of_client)));
        Ok(Some(StreamEvent::GoAway { last, code }))
    }

    pub(super) fn on_window_update(&mut self, header: FrameHeader, payload: &[u8]) -> Handled {
        let by = frame::number(header.exactly(payload)?);
        if by < SMALL_UPDATE {
            self.count(Limit::SmallUpdates)?;
        }
        let stream = header.stream;
        if stream == StreamId::CONNECTION {
            if by == 0 {
                return Err(ErrorCode::ProtocolError.because("a window grows by nothing"));
            }
            let reopened = self.send_window.shift(by.into()).map_err(|_| TOO_LARGE)?;
            return Ok(
                (reopened == Reopened::Yes).then_some(StreamEvent::Writable { stream: None })
            );
        }
        self.check_used(stream)?;
        let Some(open) = self.streams.get_mut(stream) else { return Ok(None) };
        if by == 0 {
            return self.fail_stream(stream, ErrorCode::ProtocolError);
        }
        match open.send_window.shift(by.into()) {
            Err(_) => self.fail_stream(stream, ErrorCode::FlowControl),
            Ok(Reopened::Yes) if open.sending != Sending::Ended => {
                Ok(Some(StreamEvent::Writable { stream: Some(stream) }))
            }
            Ok(_) => Ok(None),
        }
    }

    /// Only PRIORITY may concern a stream that was never used (RFC 9113, 5.1).
    fn check_used(&self, stream: StreamId) -> Result<(), ConnectionError> {
        match self.streams.get(stream).is_none() && self.past_state(stream) == PastState::Idle {
            true => Err(ErrorCode::ProtocolError.because("a frame is on an idle stream")),
            false => Ok(()),
        }
    }

    /// Resets an open stream because of the peer's error.
    fn fail_stream(&mut self, stream: StreamId, code: ErrorCode) -> Handled {
        self.reset_for_fault(stream, code)?;
        Ok(Some(StreamEvent::Reset { stream, code }))
    }
}
