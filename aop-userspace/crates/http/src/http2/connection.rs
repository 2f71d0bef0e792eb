//! One HTTP/2 connection: its state, its beginning and its end.
//!
//! `receive` reads the peer's frames, and `send` writes those of this side. An orderly
//! shutdown of a server has two steps (RFC 9113, 6.8): a GOAWAY without a limit and a PING; then,
//! when the PING is acknowledged and all requests that were under way are here, the final GOAWAY.

use super::{
    ConnectionConfig, End, ErrorCode, StreamId,
    error::ConnectionError,
    frame,
    limits::{Conduct, Limit, Limits},
    past::{Past, PastState},
    receive::{Pending, Reading},
    settings::{self, PeerSettings},
    streams::{Sending, Streams},
    window::{self, ReceiveWindow, SendWindow},
};
use crate::{
    fields::Fields,
    hpack::{Decoder, Encoder},
    message::{RequestHead, ResponseHead},
};

/// The preface of a client (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The table that header compression has at first.
const HEADER_TABLE: usize = 4_096;
/// The payloads of this side's PINGs.
const SHUTDOWN: [u8; 8] = *b"aop-last";
const KEEP_ALIVE: [u8; 8] = *b"aop-ping";

/// The side that this end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

/// How far this side is with the end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Departure {
    None,
    /// A GOAWAY without a limit was sent, and a PING.
    Announced,
    /// The final GOAWAY was sent: new streams are refused.
    Final,
}

/// One connection, as a server or as a client.
pub struct Connection {
    pub(super) role: Role,
    pub(super) config: ConnectionConfig,
    pub(super) reading: Reading,
    /// The header block that CONTINUATION goes on with, and its bytes so far.
    pub(super) pending: Option<Pending>,
    pub(super) block: Vec<u8>,
    pub(super) now: u64,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) streams: Streams,
    pub(super) past: Past,
    /// The last stream whose request the caller was told about.
    pub(super) processed: StreamId,
    pub(super) send_window: SendWindow,
    pub(super) receive_window: ReceiveWindow,
    pub(super) peer: PeerSettings,
    departure: Departure,
    /// The last stream that the peer's GOAWAY leaves.
    pub(super) peer_last: Option<StreamId>,
    limits: Limits,
    /// A limit that the caller was not told about yet.
    pub(super) exceeded: Option<Limit>,
    keep_alive: KeepAlive,
    pub(super) request: RequestHead,
    pub(super) response: ResponseHead,
    pub(super) trailers: Fields,
    pub(super) output: Vec<u8>,
}

/// Whether a PING of [`Connection::ping`] is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeepAlive {
    None,
    Sent,
}

impl Connection {
    /// The server's side. The output begins with SETTINGS.
    #[must_use]
    pub fn server(config: ConnectionConfig) -> Self {
        Self::new(Role::Server, config)
    }

    /// The client's side. The output begins with the preface.
    #[must_use]
    pub fn client(config: ConnectionConfig) -> Self {
        Self::new(Role::Client, config)
    }

    fn new(role: Role, mut config: ConnectionConfig) -> Self {
        // Below, a peer could exceed a window that it does not know yet (RFC 9113, 6.9.2).
        let usual = window::INITIAL..=window::LARGEST;
        config.stream_window = config.stream_window.clamp(*usual.start(), *usual.end());
        config.connection_window = config.connection_window.clamp(*usual.start(), *usual.end());
        let mut output = Vec::new();
        let reading = match role {
            Role::Server => Reading::Preface(0),
            Role::Client => {
                output.extend_from_slice(PREFACE);
                Reading::FirstFrame
            }
        };
        settings::announce(&mut output, role, &config);
        let more = config.connection_window - window::INITIAL;
        if more > 0 {
            frame::write_window_update(&mut output, StreamId::CONNECTION, more);
        }
        Self {
            role,
            config,
            reading,
            pending: None,
            block: Vec::new(),
            now: 0,
            decoder: Decoder::new(HEADER_TABLE),
            encoder: Encoder::new(),
            streams: Streams::default(),
            past: Past::default(),
            processed: StreamId::CONNECTION,
            send_window: SendWindow::new(window::INITIAL),
            receive_window: ReceiveWindow::new(config.connection_window),
            peer: PeerSettings::default(),
            departure: Departure::None,
            peer_last: None,
            limits: Limits::default(),
            exceeded: None,
            keep_alive: KeepAlive::None,
            request: RequestHead::default(),
            response: ResponseHead::default(),
            trailers: Fields::default(),
            output,
        }
    }

    /// The head of the request of the last [`StreamEvent::Request`](super::StreamEvent::Request).
    #[must_use]
    pub fn request(&self) -> &RequestHead {
        &self.request
    }

    /// The same, to be changed or exchanged for another, whose memory the next request uses.
    pub fn request_mut(&mut self) -> &mut RequestHead {
        &mut self.request
    }

    /// The head of the response of the last
    /// [`StreamEvent::Response`](super::StreamEvent::Response).
    #[must_use]
    pub fn response(&self) -> &ResponseHead {
        &self.response
    }

    /// The same, to be changed or exchanged for another, whose memory the next response uses.
    pub fn response_mut(&mut self) -> &mut ResponseHead {
        &mut self.response
    }

    /// The fields of the last [`StreamEvent::Trailers`](super::StreamEvent::Trailers).
    #[must_use]
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Whether bytes wait for the peer.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Bytes for the peer. The caller removes what it has written.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The number of open streams: at least one side has not ended.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether a stream is open.
    #[must_use]
    pub fn is_open(&self, stream: StreamId) -> bool {
        self.streams.get(stream).is_some()
    }

    /// Whether a server may still begin the final response on a stream.
    #[must_use]
    pub fn is_answerable(&self, stream: StreamId) -> bool {
        self.streams.get(stream).is_some_and(|stream| stream.sending == Sending::Head)
    }

    /// Asks for a sign of life. Nothing happens while an earlier PING is under way.
    pub fn ping(&mut self) {
        if self.keep_alive == KeepAlive::None {
            self.keep_alive = KeepAlive::Sent;
            frame::write_ping(&mut self.output, 0, KEEP_ALIVE);
        }
    }

    /// Whether the peer has not acknowledged the last [`Connection::ping`].
    #[must_use]
    pub fn is_ping_pending(&self) -> bool {
        self.keep_alive == KeepAlive::Sent
    }

    /// The peer acknowledged a PING.
    pub(super) fn pong(&mut self, payload: [u8; 8]) {
        match payload {
            KEEP_ALIVE => self.keep_alive = KeepAlive::None,
            SHUTDOWN if self.departure == Departure::Announced => self.depart(ErrorCode::NoError),
            _ => {}
        }
    }

    /// Ends the connection in order: requests that are under way are still served. A client opens
    /// no more streams.
    pub fn shutdown(&mut self) {
        if self.departure != Departure::None {
            return;
        }
        match self.role {
            Role::Server => {
                self.departure = Departure::Announced;
                frame::write_go_away(&mut self.output, StreamId::LAST, ErrorCode::NoError);
                frame::write_ping(&mut self.output, 0, SHUTDOWN);
            }
            Role::Client => self.depart(ErrorCode::NoError),
        }
    }

    /// Whether the last stream has ended after the final GOAWAY, of either side. A peer that does
    /// not acknowledge the PING of [`Connection::shutdown`] delays it: the caller sets a time.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.is_departing() && self.streams.is_empty()
    }

    /// Whether no new stream begins.
    pub(super) fn is_departing(&self) -> bool {
        self.departure == Departure::Final || self.peer_last.is_some()
    }

    /// Whether new streams of the peer are refused.
    pub(super) fn refuses_streams(&self) -> bool {
        self.departure == Departure::Final
    }

    /// Tells the peer why the connection ends. The caller writes the output and closes.
    pub fn fail(&mut self, error: &ConnectionError) {
        self.depart(error.code);
    }

    fn depart(&mut self, code: ErrorCode) {
        self.departure = Departure::Final;
        frame::write_go_away(&mut self.output, self.processed, code);
    }

    /// Counts what the peer did. An excess retires the connection.
    pub(super) fn count(&mut self, limit: Limit) -> Result<(), ConnectionError> {
        match self.limits.count(limit, self.now) {
            Conduct::Acceptable => Ok(()),
            Conduct::Excessive => {
                if self.departure != Departure::Final {
                    self.exceeded = Some(limit);
                    self.depart(ErrorCode::NoError);
                }
                Ok(())
            }
            Conduct::Flood => Err(ErrorCode::EnhanceYourCalm.because(limit.name())),
        }
    }

    /// Resets a stream at once.
    pub fn reset(&mut self, stream: StreamId, code: ErrorCode) {
        if self.streams.remove(stream).is_some() {
            self.write_reset(stream, code);
        }
    }

    /// Resets a stream because of the peer's error on it.
    pub(super) fn reset_for_fault(
        &mut self,
        stream: StreamId,
        code: ErrorCode,
    ) -> Result<(), ConnectionError> {
        self.streams.remove(stream);
        self.write_reset(stream, code);
        self.count(Limit::Faults)
    }

    pub(super) fn write_reset(&mut self, stream: StreamId, code: ErrorCode) {
        self.past.close(stream, PastState::ResetHere);
        frame::write_rst_stream(&mut self.output, stream, code);
    }

    /// The peer may send as many bytes more. For a stream that has ended, only the connection's
    /// window grows.
    pub fn consumed(&mut self, stream: StreamId, bytes: usize) {
        self.credit(bytes);
        if let Some(open) = self.streams.get_mut(stream)
            && let Some(by) = open.credit(bytes, self.config.stream_window)
        {
            frame::write_window_update(&mut self.output, stream, by);
        }
    }

    /// Gives bytes back to the connection's window.
    pub(super) fn credit(&mut self, bytes: usize) {
        if let Some(by) = self.receive_window.consume(bytes, self.config.connection_window) {
            frame::write_window_update(&mut self.output, StreamId::CONNECTION, by);
        }
    }

    /// Gives memory back that a connection at rest does not need.
    pub fn shrink(&mut self) {
        self.streams.shrink();
        if self.pending.is_none() {
            self.block = Vec::new();
        }
        self.output.shrink_to_fit();
        self.request = RequestHead::default();
        self.response = ResponseHead::default();
        self.trailers = Fields::default();
    }
}

impl End {
    pub(super) fn is_yes(self) -> bool {
        self == Self::Yes
    }
}
