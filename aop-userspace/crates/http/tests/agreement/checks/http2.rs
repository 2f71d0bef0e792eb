//! A server's connection under the frames of a client that is often wrong.
//!
//! A model of the streams follows the events: each stream begins once, has data only while its
//! request is open, and ends once. Every division of the bytes gives the same events and the same
//! output, and the output has the order that RFC 9113 demands.

use std::collections::BTreeMap;

use aop_http::{
    BodyLength, Fields, RequestHead, ResponseHead,
    http2::{Connection, ConnectionConfig, End, ErrorCode, ExtendedConnect, StreamEvent, StreamId},
};

use super::{choices::Choices, frames, output, split};

/// The largest number of open streams.
const STREAMS: u32 = 8;
/// The bytes that may stay with the caller: a frame's header and its payload, but for one.
const UNREAD: usize = 9 + 16_384 - 1;

/// The server's view of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The request is complete up to here, and this many bytes of its body are missing.
    Receiving(Option<u64>),
    Ended,
    /// The head was malformed, and the stream waits for an answer.
    Malformed,
    Gone,
}

#[derive(Debug)]
struct Stream {
    stage: Stage,
    answered: bool,
}

/// The events and the bytes of the server.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trace {
    events: Vec<String>,
    /// The bodies, apart from the events: their division is that of the input.
    bodies: BTreeMap<u32, Vec<u8>>,
    output: Vec<u8>,
    error: Option<ErrorCode>,
}

struct Server {
    connection: Connection,
    streams: BTreeMap<u32, Stream>,
    trace: Trace,
    /// The bytes that the answers have.
    answered: usize,
}

/// Sends the frames that the choices in `input` give to a server.
pub fn check(input: &[u8]) {
    let bytes = frames::client(&mut Choices::new(input));
    let mut whole = Server::new();
    whole.receive([&bytes[..]]);
    for pieces in split::divisions(&bytes) {
        let mut server = Server::new();
        server.receive(pieces);
        assert_eq!(server.trace, whole.trace, "the division changes something");
    }
    // Each frame has an answer of at most two frames, and each answer of the application its own.
    let most = 1_024 + bytes.len() * 4 + whole.answered;
    assert!(whole.trace.output.len() <= most, "{} bytes", whole.trace.output.len());
    if whole.trace.error.is_none() {
        whole.end_all();
    }
    output::check(&whole.trace.output);
}

impl Server {
    fn new() -> Self {
        let connection = Connection::server(ConnectionConfig {
            max_streams: STREAMS,
            stream_window: 65_535,
            connection_window: 70_000,
            max_head: 2_000,
            extended_connect: ExtendedConnect::Accepted,
        });
        Self { connection, streams: BTreeMap::new(), trace: Trace::default(), answered: 0 }
    }

    fn receive<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        let mut unread = Vec::new();
        for piece in pieces {
            unread.extend_from_slice(piece);
            let mut input = &unread[..];
            self.take(&mut input);
            let left = input.len();
            unread.drain(..unread.len() - left);
            if self.trace.error.is_some() {
                return;
            }
            assert!(left <= UNREAD, "{left} bytes are left");
        }
    }

    fn take(&mut self, input: &mut &[u8]) {
        loop {
            match self.connection.receive(input, 0) {
                Ok(Some(event)) => self.see(&event),
                Ok(None) => break,
                Err(error) => {
                    self.connection.fail(&error);
                    self.trace.error = Some(error.code);
                    break;
                }
            }
            self.compare();
        }
        self.trace.output.append(self.connection.output());
    }

    fn see(&mut self, event: &StreamEvent<'_>) {
        if !matches!(event, StreamEvent::Data { .. }) {
            self.trace.events.push(format!("{event:?}"));
        }
        match *event {
            StreamEvent::Request { stream, end } => {
                let head = self.connection.request();
                check_head(head, end);
                let missing = match head.body {
                    BodyLength::Known(length) => Some(length),
                    BodyLength::Empty => Some(0),
                    BodyLength::Unknown => None,
                };
                let stage = if end { Stage::Ended } else { Stage::Receiving(missing) };
                self.begin(stream, stage);
                self.on_request(stream, end);
            }
            StreamEvent::Data { stream, bytes, end } => {
                self.trace.bodies.entry(stream.get()).or_default().extend_from_slice(bytes);
                let open = self.streams.get_mut(&stream.get()).unwrap();
                let Stage::Receiving(missing) = open.stage else { panic!("data in {open:?}") };
                let missing = missing.map(|missing| missing.checked_sub(bytes.len() as u64));
                assert_ne!(missing, Some(None), "the body is too long");
                let missing = missing.flatten();
                open.stage = Stage::Receiving(missing);
                if end {
                    assert!(matches!(missing, None | Some(0)), "the body is too short");
                    self.trace.events.push(format!("{stream:?} ends"));
                    self.end(stream);
                }
            }
            StreamEvent::Trailers { stream } => {
                check_fields(self.connection.trailers());
                let open = &self.streams[&stream.get()];
                assert!(matches!(open.stage, Stage::Receiving(None | Some(0))), "{open:?}");
                self.end(stream);
            }
            StreamEvent::Truncated { stream } => {
                let open = &self.streams[&stream.get()];
                assert!(matches!(open.stage, Stage::Receiving(Some(1..))), "{open:?}");
                assert!(open.answered && !self.connection.is_answerable(stream), "{open:?}");
                self.end(stream);
            }
            StreamEvent::Malformed { stream, .. } if self.connection.is_open(stream) => {
                self.begin(stream, Stage::Malformed);
                if stream.get() % 4 == 1 {
                    self.respond(stream, 400, End::Yes);
                }
            }
            StreamEvent::Malformed { stream, .. } | StreamEvent::Reset { stream, .. } => {
                let open = self.streams.get_mut(&stream.get()).unwrap();
                let receiving = matches!(open.stage, Stage::Receiving(_));
                let reset = matches!(event, StreamEvent::Reset { .. });
                assert!(receiving || reset && open.stage != Stage::Gone, "{open:?}");
                open.stage = Stage::Gone;
            }
            StreamEvent::Writable { .. }
            | StreamEvent::GoAway { .. }
            | StreamEvent::Limit { .. } => {}
            StreamEvent::Response { .. } => panic!("a response to a server"),
        }
    }

    fn begin(&mut self, stream: StreamId, stage: Stage) {
        let last = self.streams.last_key_value().map_or(0, |(last, _)| *last);
        assert!(stream.get() % 2 == 1 && stream.get() > last, "{stream:?} after {last}");
        self.streams.insert(stream.get(), Stream { stage, answered: false });
    }

    /// The application: it answers at once, or when the request is complete, or never.
    fn on_request(&mut self, stream: StreamId, end: bool) {
        match stream.get() % 14 {
            1 => self.respond(stream, 204, End::Yes),
            3 => {
                self.respond(stream, 103, End::No);
                self.respond(stream, 200, End::No);
            }
            5 => {
                self.connection.reset(stream, ErrorCode::Cancel);
                self.streams.get_mut(&stream.get()).unwrap().stage = Stage::Gone;
            }
            _ if end => self.answer(stream),
            _ => {}
        }
    }

    fn end(&mut self, stream: StreamId) {
        self.streams.get_mut(&stream.get()).unwrap().stage = Stage::Ended;
        let read = self.trace.bodies.get(&stream.get()).map_or(0, Vec::len);
        self.connection.consumed(stream, read);
        self.answer(stream);
        self.settle(stream);
    }

    fn answer(&mut self, stream: StreamId) {
        if self.streams[&stream.get()].answered {
            return;
        }
        self.respond(stream, 200, End::No);
        let body = vec![9; stream.get() as usize % 7 * 3_000];
        let end = if stream.get().is_multiple_of(3) { End::No } else { End::Yes };
        let taken = self.connection.send_data(stream, &body, end);
        self.answered += taken + taken / 16_000 * 9 + 100;
        let mut trailers = Fields::default();
        trailers.push(b"x-sum", b"1");
        if end == End::No {
            self.connection.send_trailers(stream, &trailers);
        }
        self.settle(stream);
    }

    fn respond(&mut self, stream: StreamId, status: u16, end: End) {
        let mut response = ResponseHead { status, ..ResponseHead::default() };
        response.fields.push(b"x-id", stream.get().to_string().as_bytes());
        self.connection.respond(stream, &response, end);
        self.answered += 100;
        self.settle(stream);
    }

    /// Notes a stream whose answer is complete.
    fn settle(&mut self, stream: StreamId) {
        let sends = self.connection.capacity(stream) > 0 || self.connection.is_answerable(stream);
        let open = self.streams.get_mut(&stream.get()).unwrap();
        if !sends && !self.connection.is_open(stream) && open.stage != Stage::Gone {
            assert!(matches!(open.stage, Stage::Ended | Stage::Malformed), "{open:?}");
            open.answered = true;
            open.stage = Stage::Gone;
        }
        open.answered |= !self.connection.is_answerable(stream);
    }

    /// The connection has the streams open that the model has.
    fn compare(&self) {
        let open = self.streams.iter().filter(|(_, stream)| stream.stage != Stage::Gone);
        let open: Vec<_> = open.map(|(id, _)| *id).collect();
        let wrong = open.iter().find(|id| !self.connection.is_open(StreamId::new(**id)));
        assert_eq!(wrong, None, "a stream ended without an event");
        assert_eq!(self.connection.open_streams(), open.len());
        assert!(open.len() <= STREAMS as usize);
    }

    /// The client resets each stream: those that are open end then, once.
    fn end_all(&mut self) {
        let open: Vec<_> = self.streams.iter().map(|(id, it)| (*id, it.stage)).collect();
        for (id, stage) in open {
            let reset = [&[0, 0, 4, 3, 0][..], &id.to_be_bytes(), &[0, 0, 0, 8]].concat();
            let before = self.trace.events.len();
            self.take(&mut &reset[..]);
            if self.trace.error.is_some() {
                // A frame or a header block was open.
                return;
            }
            let resets = self.trace.events[before..].iter().filter(|it| it.contains("Reset"));
            // The rest of an open DATA frame takes the bytes of this one.
            if self.streams[&id].stage != Stage::Gone {
                return;
            }
            assert_eq!(resets.count(), usize::from(stage != Stage::Gone));
        }
        assert_eq!(self.connection.open_streams(), 0);
    }
}

/// The rules for the head of a request (RFC 9113, 8.3).
fn check_head(head: &RequestHead, end: bool) {
    check_fields(&head.fields);
    assert!(head.method.iter().all(u8::is_ascii_graphic) && !head.method.is_empty());
    let plain = head.method == b"CONNECT" && head.protocol.is_empty();
    assert_eq!((head.path.is_empty(), head.scheme.is_empty()), (plain, plain));
    let path = head.path == b"*" && head.method == b"OPTIONS" || head.path.starts_with(b"/");
    assert!((path || plain) && !head.path.iter().any(|byte| b"# \t\r\n".contains(byte)));
    assert!(!plain || !head.authority.is_empty());
    let lengths: Vec<_> = head.fields.all(b"content-length").collect();
    match head.body {
        BodyLength::Empty => assert!(end && lengths.is_empty()),
        BodyLength::Unknown => assert!(!end && lengths.is_empty()),
        BodyLength::Known(length) => {
            assert_eq!(lengths, [length.to_string().as_bytes()]);
            assert!(!end || length == 0);
        }
    }
}

/// The rules for fields in HTTP/2 (RFC 9113, 8.2).
fn check_fields(fields: &Fields) {
    for field in fields.iter() {
        let name = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
        assert!(field.name.iter().all(name) && !field.name.is_empty(), "{field:?}");
        assert!(!field.name.contains(&b':'), "{field:?}");
        let connection: [&[u8]; 3] = [b"connection", b"transfer-encoding", b"upgrade"];
        assert!(!connection.contains(&field.name), "{field:?}");
        assert!(field.name != b"te" || field.value == b"trailers", "{field:?}");
        assert!(!field.value.iter().any(|byte| b"\r\n\0".contains(byte)), "{field:?}");
    }
}
