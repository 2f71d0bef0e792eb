//! A server that sends each body back, and a client that checks it: both ends of one connection.

use std::collections::HashMap;

use super::*;

/// Bytes that are sent at most in one step.
const STEP: usize = 20_000;

/// A server that answers with the request's body, its field `x-echo` and its trailers.
pub(super) struct EchoServer {
    pub(super) connection: Connection,
    streams: HashMap<StreamId, Echo>,
}

#[derive(Default)]
struct Echo {
    bytes: Vec<u8>,
    end: bool,
    trailers: Option<Fields>,
}

impl EchoServer {
    pub(super) fn new(config: ConnectionConfig) -> Self {
        Self { connection: Connection::server(config), streams: HashMap::new() }
    }

    /// Takes bytes from the front of `input`, and answers as far as the windows go.
    pub(super) fn receive(&mut self, input: &mut &[u8]) {
        while let Some(event) = self.connection.receive(input, 0).unwrap() {
            match event {
                StreamEvent::Request { stream, end } => {
                    let mut response = ResponseHead { status: 200, ..ResponseHead::default() };
                    if let Some(value) = self.connection.request().fields.first(b"x-echo") {
                        response.fields.push(b"x-echo", value);
                    }
                    self.connection.respond(stream, &response, End::No);
                    self.streams.insert(stream, Echo { end, ..Echo::default() });
                }
                StreamEvent::Data { stream, bytes, end } => {
                    let echo = self.streams.get_mut(&stream).unwrap();
                    echo.bytes.extend_from_slice(bytes);
                    echo.end |= end;
                }
                StreamEvent::Trailers { stream } => {
                    let echo = self.streams.get_mut(&stream).unwrap();
                    echo.end = true;
                    echo.trailers = Some(self.connection.trailers().clone());
                }
                StreamEvent::Reset { stream, .. } => {
                    let echo = self.streams.remove(&stream).unwrap_or_default();
                    self.connection.consumed(stream, echo.bytes.len());
                }
                StreamEvent::Writable { .. } | StreamEvent::GoAway { .. } => {}
                StreamEvent::Response { .. }
                | StreamEvent::Malformed { .. }
                | StreamEvent::Truncated { .. }
                | StreamEvent::Limit { .. } => {
                    panic!("{event:?}");
                }
            }
        }
        self.send();
    }

    fn send(&mut self) {
        let Self { connection, streams } = self;
        streams.retain(|stream, echo| {
            let end = if echo.end && echo.trailers.is_none() { End::Yes } else { End::No };
            let taken = connection.send_data(*stream, &echo.bytes, end);
            echo.bytes.drain(..taken);
            connection.consumed(*stream, taken);
            let done = echo.end && echo.bytes.is_empty();
            if let Some(trailers) = &echo.trailers
                && done
            {
                connection.send_trailers(*stream, trailers);
            }
            !done
        });
    }
}

/// A request with a body.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) body: Vec<u8>,
    pub(super) echo: String,
    pub(super) trailers: bool,
    /// The client resets the stream after as many bytes of the response.
    pub(super) reset_after: Option<usize>,
}

/// A client that sends jobs, and compares what comes back.
pub(super) struct EchoClient {
    pub(super) connection: Connection,
    waiting: Vec<Job>,
    running: HashMap<StreamId, Running>,
    pub(super) done: usize,
}

struct Running {
    job: Job,
    sent: usize,
    ended: bool,
    received: usize,
}

impl EchoClient {
    pub(super) fn new(config: ConnectionConfig, jobs: Vec<Job>) -> Self {
        let connection = Connection::client(config);
        Self { connection, waiting: jobs, running: HashMap::new(), done: 0 }
    }

    /// Whether every job is done.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Takes bytes from the front of `input`, and sends as far as the windows go.
    pub(super) fn receive(&mut self, input: &mut &[u8]) {
        while let Some(event) = self.connection.receive(input, 0).unwrap() {
            match event {
                StreamEvent::Response { stream, end } => {
                    assert!(!end || self.running[&stream].job.body.is_empty());
                    let response = self.connection.response();
                    assert_eq!(response.status, 200);
                    let echo = response.fields.first(b"x-echo").unwrap();
                    assert_eq!(echo, self.running[&stream].job.echo.as_bytes());
                    if end {
                        self.finish(stream);
                    }
                }
                StreamEvent::Data { stream, bytes, end } => {
                    let running = self.running.get_mut(&stream).unwrap();
                    assert!(running.job.body[running.received..].starts_with(bytes));
                    running.received += bytes.len();
                    let enough =
                        running.job.reset_after.is_some_and(|after| running.received > after);
                    self.connection.consumed(stream, bytes.len());
                    if end {
                        self.finish(stream);
                    } else if enough {
                        self.connection.reset(stream, ErrorCode::Cancel);
                        self.running.remove(&stream);
                    }
                }
                StreamEvent::Trailers { stream } => {
                    assert!(self.connection.trailers().contains(b"x-trailer"));
                    assert!(self.running[&stream].job.trailers);
                    self.finish(stream);
                }
                StreamEvent::Reset { stream, code: ErrorCode::RefusedStream } => {
                    // It was opened before the server's settings arrived.
                    self.waiting.push(self.running.remove(&stream).unwrap().job);
                }
                StreamEvent::Writable { .. } | StreamEvent::GoAway { .. } => {}
                StreamEvent::Reset { .. }
                | StreamEvent::Request { .. }
                | StreamEvent::Malformed { .. }
                | StreamEvent::Truncated { .. }
                | StreamEvent::Limit { .. } => panic!("{event:?}"),
            }
        }
        self.send();
    }

    fn finish(&mut self, stream: StreamId) {
        let running = self.running.remove(&stream).unwrap();
        assert_eq!(running.received, running.job.body.len());
        self.done += 1;
    }

    fn send(&mut self) {
        while self.connection.can_open()
            && let Some(job) = self.waiting.pop()
        {
            let whole = job.body.is_empty() && !job.trailers;
            let head = request("POST", &[("x-echo", &job.echo)]);
            let end = if whole { End::Yes } else { End::No };
            let stream = self.connection.open(&head, end).unwrap();
            self.running.insert(stream, Running { job, sent: 0, ended: whole, received: 0 });
        }
        for (stream, running) in &mut self.running {
            if running.ended {
                continue;
            }
            let rest = &running.job.body[running.sent..];
            let part = &rest[..rest.len().min(STEP)];
            let last = part.len() == rest.len();
            let end = if last && !running.job.trailers { End::Yes } else { End::No };
            running.sent += self.connection.send_data(*stream, part, end);
            if last && running.sent == running.job.body.len() {
                running.ended = true;
                if running.job.trailers {
                    self.connection.send_trailers(*stream, &fields(&[("x-trailer", "t")]));
                }
            }
        }
    }
}

/// A body that is not the same at any two places nearby.
pub(super) fn body(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}
