//! The rules of RFC 9113, one by one, on the bytes of a peer that breaks or follows them.

mod bodies;
mod client;
mod differential;
mod echo;
mod frames;
mod heads;
mod limits;
mod properties;
mod settings;
mod shutdown;
mod streams;

use super::{
    Connection, ConnectionConfig, ConnectionError, End, ErrorCode, ExtendedConnect, Limit,
    StreamEvent, StreamId, frame,
};
use crate::{
    fault::Fault,
    fields::Fields,
    hpack::{Decoder, Encoder},
    message::{RequestHead, ResponseHead},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
/// END_STREAM and END_HEADERS.
const ENDS: u8 = 5;

/// Names and values of fields.
type List<'a> = &'a [(&'a str, &'a str)];

const GET: List<'_> =
    &[(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];
const POST: List<'_> =
    &[(":method", "POST"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];

/// An event without borrowed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Request(u32, bool),
    Response(u32, u16, bool),
    Data(u32, Vec<u8>, bool),
    Trailers(u32),
    Reset(u32, ErrorCode),
    Malformed(u32, Fault),
    Truncated(u32),
    Writable(Option<u32>),
    GoAway(u32, ErrorCode),
    Limit(Limit),
}

/// A frame of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A connection, and a peer that is written by hand.
struct Wire {
    connection: Connection,
    encoder: Encoder,
    decoder: Decoder,
    now: u64,
}

fn id(stream: u32) -> StreamId {
    StreamId::new(stream)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// The frames in `bytes`.
fn parse(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let header = frame::FrameHeader::read(bytes).unwrap();
        let (whole, rest) = bytes.split_at(frame::HEADER + header.length);
        frames.push(Frame {
            kind: whole[3],
            flags: whole[4],
            stream: header.stream.get(),
            payload: whole[frame::HEADER..].to_vec(),
        });
        bytes = rest;
    }
    frames
}

impl Frame {
    fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

impl Wire {
    /// A server after both prefaces.
    fn server() -> Self {
        Self::server_with(ConnectionConfig::default())
    }

    fn server_with(config: ConnectionConfig) -> Self {
        let mut wire = Self::new(Connection::server(config));
        wire.feed(super::connection::PREFACE).unwrap();
        wire.feed(&frame(SETTINGS, 0, 0, &[])).unwrap();
        wire.connection.output.clear();
        wire
    }

    /// A client after both prefaces.
    fn client() -> Self {
        let mut wire = Self::new(Connection::client(ConnectionConfig::default()));
        wire.feed(&frame(SETTINGS, 0, 0, &[])).unwrap();
        wire.connection.output.clear();
        wire
    }

    fn new(connection: Connection) -> Self {
        Self { connection, encoder: Encoder::new(), decoder: Decoder::new(4_096), now: 0 }
    }

    /// Gives bytes of the peer to the connection.
    fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Seen>, ConnectionError> {
        let mut seen = Vec::new();
        while let Some(event) = self.connection.receive(&mut bytes, self.now)? {
            let status = self.connection.response().status;
            seen.push(Seen::new(event, status));
        }
        assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
        Ok(seen)
    }

    /// The same, without an error.
    fn sees(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.feed(bytes).unwrap()
    }

    /// The code with which the connection ends after `bytes`.
    fn error(&mut self, bytes: &[u8]) -> ErrorCode {
        let error = self.feed(bytes).unwrap_err();
        assert_eq!(self.feed(bytes), Err(error), "an error is final");
        self.connection.fail(&error);
        let last = self.sent().pop().unwrap();
        assert_eq!((last.kind, last.payload[7]), (GOAWAY, u8::try_from(error.code.get()).unwrap()));
        error.code
    }

    /// A header block.
    fn block(&mut self, fields: List<'_>) -> Vec<u8> {
        let mut block = Vec::new();
        self.encoder.begin(&mut block);
        for (name, value) in fields {
            self.encoder.field(&mut block, name.as_bytes(), value.as_bytes());
        }
        block
    }

    /// A HEADERS frame with these fields.
    fn headers(&mut self, flags: u8, stream: u32, fields: List<'_>) -> Vec<u8> {
        let block = self.block(fields);
        frame(HEADERS, flags, stream, &block)
    }

    /// A request without a body arrives.
    fn get(&mut self, stream: u32) {
        let headers = self.headers(ENDS, stream, GET);
        assert_eq!(self.sees(&headers), [Seen::Request(stream, true)]);
    }

    /// A request arrives whose body is still to come.
    fn post(&mut self, stream: u32) {
        let headers = self.headers(END_HEADERS, stream, POST);
        assert_eq!(self.sees(&headers), [Seen::Request(stream, false)]);
    }

    fn respond(&mut self, stream: u32, status: u16, end: End) {
        let response = ResponseHead { status, ..ResponseHead::default() };
        self.connection.respond(id(stream), &response, end);
    }

    /// The frames that the connection has written since the last call.
    fn sent(&mut self) -> Vec<Frame> {
        parse(&std::mem::take(&mut self.connection.output))
    }

    /// The RST_STREAM frames that it has written since the last call.
    fn resets(&mut self) -> Vec<(u32, ErrorCode)> {
        let sent = self.sent().into_iter().filter(|frame| frame.kind == RST_STREAM);
        sent.map(|frame| (frame.stream, ErrorCode::from(frame.number()))).collect()
    }

    /// The fields of a header block that the connection has written.
    fn decode(&mut self, block: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let each = |field: crate::Field<'_>| fields.push((text(field.name), text(field.value)));
        self.decoder.decode(block, each).unwrap();
        fields
    }
}

impl Seen {
    fn new(event: StreamEvent<'_>, status: u16) -> Self {
        match event {
            StreamEvent::Request { stream, end } => Self::Request(stream.get(), end),
            StreamEvent::Response { stream, end } => Self::Response(stream.get(), status, end),
            StreamEvent::Data { stream, bytes, end } => {
                Self::Data(stream.get(), bytes.to_vec(), end)
            }
            StreamEvent::Trailers { stream } => Self::Trailers(stream.get()),
            StreamEvent::Reset { stream, code } => Self::Reset(stream.get(), code),
            StreamEvent::Malformed { stream, fault } => Self::Malformed(stream.get(), fault.fault),
            StreamEvent::Truncated { stream } => Self::Truncated(stream.get()),
            StreamEvent::Writable { stream } => Self::Writable(stream.map(StreamId::get)),
            StreamEvent::GoAway { last, code } => Self::GoAway(last.get(), code),
            StreamEvent::Limit { limit } => Self::Limit(limit),
        }
    }
}

fn request(method: &str, fields: List<'_>) -> RequestHead {
    let mut request = RequestHead {
        method: method.into(),
        scheme: b"http".to_vec(),
        authority: b"a.test".to_vec(),
        path: b"/x?y".to_vec(),
        ..RequestHead::default()
    };
    for (name, value) in fields {
        request.fields.push(name.as_bytes(), value.as_bytes());
    }
    request
}

fn fields(fields: List<'_>) -> Fields {
    let mut list = Fields::default();
    for (name, value) in fields {
        list.push(name.as_bytes(), value.as_bytes());
    }
    list
}
