//! The HTTP/2 client: a connection with many requests at once, as the edge of a CDN has them.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use aop_http::{
    RequestHead,
    http2::{Connection, ConnectionConfig, End, ExtendedConnect, StreamEvent},
};
use rustls::{ClientConnection, StreamOwned};

const READ: usize = 64 * 1024;
const CONFIG: ConnectionConfig = ConnectionConfig {
    max_streams: 200,
    stream_window: 1024 * 1024,
    connection_window: 64 * 1024 * 1024,
    max_head: 64 * 1024,
    extended_connect: ExtendedConnect::Refused,
};

/// An open HTTP/2 connection.
pub(crate) struct Streams {
    stream: StreamOwned<ClientConnection, TcpStream>,
    connection: Connection,
    request: RequestHead,
    input: Vec<u8>,
}

impl Streams {
    pub(crate) fn new(stream: StreamOwned<ClientConnection, TcpStream>) -> Self {
        let request = RequestHead {
            method: b"GET".into(),
            scheme: b"https".into(),
            authority: b"example.com".into(),
            ..RequestHead::default()
        };
        Self { stream, connection: Connection::client(CONFIG), request, input: Vec::new() }
    }

    /// Requests and reads `length` bytes.
    pub(crate) fn get(&mut self, length: usize) -> Result<()> {
        self.many(length, 1, 1).map(drop)
    }

    /// Sends `total` requests for `length` bytes, `at_once` at a time. Returns the time of each.
    pub(crate) fn many(
        &mut self,
        length: usize,
        total: usize,
        at_once: usize,
    ) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(total);
        // Responses come nearly in the order of their requests.
        let mut open: VecDeque<(_, Instant, usize)> = VecDeque::new();
        let mut sent = 0;
        self.request.path = format!("/bytes/{length}").into_bytes();
        let mut buffer = vec![0; READ];
        while times.len() < total {
            while sent < total && open.len() < at_once && self.connection.can_open() {
                let stream = self.connection.open(&self.request, End::Yes);
                let stream = stream.context("no stream is left")?;
                open.push_back((stream, Instant::now(), 0));
                sent += 1;
            }
            self.flush()?;
            let read = self.stream.read(&mut buffer).context("no response")?;
            ensure!(read > 0, "the server closed within a response");
            self.input.extend_from_slice(&buffer[..read]);
            let mut rest = &self.input[..];
            let mut consumed = Vec::new();
            loop {
                let event = self.connection.receive(&mut rest, 0);
                let event = event.map_err(|error| anyhow!("HTTP/2: {error}"))?;
                let Some(event) = event else { break };
                let (stream, end) = match event {
                    StreamEvent::Response { stream, end } => {
                        let status = self.connection.response().status;
                        ensure!(status == 200, "not served: {status}");
                        (stream, end)
                    }
                    StreamEvent::Data { stream, bytes, end } => {
                        let own = open.iter_mut().find(|own| own.0 == stream);
                        own.context("data of an unknown stream")?.2 += bytes.len();
                        consumed.push((stream, bytes.len()));
                        (stream, end)
                    }
                    StreamEvent::Trailers { stream } => (stream, true),
                    StreamEvent::Reset { code, .. } => bail!("a request was reset: {code:?}"),
                    StreamEvent::Malformed { fault, .. } => bail!("a malformed response: {fault}"),
                    StreamEvent::GoAway { .. } => bail!("the server ends the connection"),
                    StreamEvent::Request { .. }
                    | StreamEvent::Truncated { .. }
                    | StreamEvent::Writable { .. }
                    | StreamEvent::Limit { .. } => {
                        continue;
                    }
                };
                if end {
                    let at = open.iter().position(|own| own.0 == stream);
                    let own = at.and_then(|at| open.remove(at)).context("an unknown stream")?;
                    ensure!(own.2 == length, "{} bytes instead of {length}", own.2);
                    times.push(own.1.elapsed());
                }
            }
            let parsed = self.input.len() - rest.len();
            self.input.drain(..parsed);
            for (stream, bytes) in consumed {
                self.connection.consumed(stream, bytes);
            }
        }
        Ok(times)
    }

    fn flush(&mut self) -> Result<()> {
        let output = self.connection.output();
        self.stream.write_all(output)?;
        output.clear();
        Ok(self.stream.flush()?)
    }

    /// Frees the buffers, for a connection that stays open and idle.
    pub(crate) fn hold(self) -> StreamOwned<ClientConnection, TcpStream> {
        self.stream
    }
}
