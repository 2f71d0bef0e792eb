//! The server side of one HTTP/1.1 connection: requests in, responses out, one after the other.
//!
//! A request that follows while a response is open (pipelining) stays unread. The framing of each
//! response follows RFC 9112, 6.3 and the version of its request.

use super::{
    MessageEvent, NameCase, RequestReader, chunk, end_of_head, field, last_chunk, status_line,
};
use crate::{
    fault::Malformed,
    fields::Fields,
    message::{BodyLength, RequestHead, ResponseHead, Version},
};

/// The server side of a connection.
pub struct Server {
    reader: RequestReader,
    output: Vec<u8>,
    /// The version of the current request.
    version: Version,
    /// The number of requests so far.
    requests: u32,
    exchange: Exchange,
    /// The end of the body of the open response.
    framing: Framing,
    /// Whether the connection ends after the open exchange.
    persistence: Persistence,
}

/// The progress of the current request and its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Exchange {
    request: Half,
    response: Half,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Half {
    /// There is none, or it is complete.
    #[default]
    Complete,
    /// It is expected: no byte of it was read or written.
    Expected,
    /// It has begun.
    Open,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Framing {
    /// There is no body.
    #[default]
    Empty,
    /// Bytes that are left.
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Persistence {
    #[default]
    KeepAlive,
    Close,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            reader: RequestReader::new(),
            output: Vec::new(),
            version: Version::default(),
            requests: 0,
            exchange: Exchange::default(),
            framing: Framing::default(),
            persistence: Persistence::default(),
        }
    }
}

impl Server {
    /// Consumes bytes from the front of `input`. `None`: more input is needed, or the open response
    /// must end first ([`Server::is_busy`]).
    ///
    /// # Errors
    /// The peer's bytes are malformed or ambiguous. The connection must end.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<MessageEvent<'a>>, Malformed> {
        let closing = self.persistence == Persistence::Close;
        if self.exchange.request == Half::Complete && (self.is_busy() || closing) {
            return Ok(None);
        }
        let event = self.reader.next(input)?;
        match event {
            Some(MessageEvent::Head) => {
                self.exchange = Exchange { request: Half::Open, response: Half::Expected };
                self.version = self.reader.request().version;
                self.requests = self.requests.wrapping_add(1);
            }
            Some(MessageEvent::End) => {
                self.exchange.request = Half::Complete;
            }
            Some(MessageEvent::Data(_)) | None => {}
        }
        Ok(event)
    }

    /// The number of requests so far: that of the current one.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// The head of the current request.
    pub fn request_mut(&mut self) -> &mut RequestHead {
        self.reader.request_mut()
    }

    /// The trailer fields of the current request.
    #[must_use]
    pub fn trailers(&self) -> &Fields {
        self.reader.trailers()
    }

    /// Whether a request or its response is open.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.exchange != Exchange::default()
    }

    /// Whether the request is complete and its response is not.
    #[must_use]
    pub fn is_waiting_for_response(&self) -> bool {
        self.exchange.request == Half::Complete && self.exchange.response != Half::Complete
    }

    /// Whether a part of the open response was written.
    #[must_use]
    pub fn is_responding(&self) -> bool {
        self.exchange.response == Half::Open
    }

    /// Whether the response is complete, and the body of its request is not.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.exchange.request == Half::Open && self.exchange.response == Half::Complete
    }

    /// Whether the body of the current request is not complete.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.exchange.request == Half::Open
    }

    /// Whether no byte of a next request was received.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.is_busy() && self.reader.is_between_messages()
    }

    /// The connection ends after the open exchange.
    pub fn close_after_response(&mut self) {
        self.persistence = Persistence::Close;
    }

    /// Whether the connection must end now: its last exchange is complete.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.persistence == Persistence::Close && self.exchange.response == Half::Complete
    }

    /// Bytes for the peer; the caller removes them.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Gives memory back that a connection at rest does not need.
    pub fn shrink(&mut self) {
        self.output.shrink_to_fit();
        self.reader.request_mut().shrink(0);
    }

    /// Writes an interim response (1xx, except 101). HTTP/1.0 has none.
    pub fn respond_interim(&mut self, response: &ResponseHead) {
        if self.version == Version::Http10 {
            return;
        }
        status_line(&mut self.output, response.status);
        for each in response.fields.iter() {
            field(&mut self.output, each.name, each.value, NameCase::Lower);
        }
        end_of_head(&mut self.output);
    }

    /// Writes the head of the final response, or of a 101, and decides how its body ends.
    pub fn respond(&mut self, response: &ResponseHead, method: &[u8]) {
        let version = self.version;
        let (body, switching) = (response.body, response.status == 101);
        if self.reader.wants_close() {
            self.persistence = Persistence::Close;
        }
        self.framing = match body {
            _ if method == b"HEAD" || switching => Framing::Empty,
            BodyLength::Empty => Framing::Empty,
            BodyLength::Known(length) => Framing::Length(length),
            BodyLength::Unknown if version == Version::Http10 => Framing::UntilClose,
            BodyLength::Unknown => Framing::Chunked,
        };
        if self.framing == Framing::UntilClose {
            self.persistence = Persistence::Close;
        }
        let output = &mut self.output;
        status_line(output, response.status);
        for each in response.fields.iter() {
            field(output, each.name, each.value, NameCase::Lower);
        }
        match self.framing {
            Framing::Chunked => field(output, b"transfer-encoding", b"chunked", NameCase::Lower),
            Framing::Empty if needs_length(response, method) => {
                field(output, b"content-length", b"0", NameCase::Lower);
            }
            Framing::Empty | Framing::Length(_) | Framing::UntilClose => {}
        }
        match self.persistence {
            Persistence::Close if !switching => {
                field(output, b"connection", b"close", NameCase::Lower);
            }
            Persistence::KeepAlive if version == Version::Http10 => {
                field(output, b"connection", b"keep-alive", NameCase::Lower);
            }
            Persistence::Close | Persistence::KeepAlive => {}
        }
        end_of_head(output);
        self.exchange.response = Half::Open;
    }

    /// Writes a part of the body. Returns what was taken: more than the announced length never is.
    pub fn send_data(&mut self, bytes: &[u8]) -> usize {
        match &mut self.framing {
            Framing::Empty => return bytes.len(),
            Framing::Length(left) => {
                let fits = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                self.output.extend_from_slice(&bytes[..fits]);
                *left -= fits as u64;
                return fits;
            }
            Framing::Chunked => chunk(&mut self.output, bytes),
            Framing::UntilClose => self.output.extend_from_slice(bytes),
        }
        bytes.len()
    }

    /// How many of the next `length` bytes of the body may be written without a framing of their
    /// own.
    #[must_use]
    pub fn unframed(&self, length: usize) -> usize {
        match self.framing {
            Framing::Length(left) => usize::try_from(left).unwrap_or(usize::MAX).min(length),
            Framing::UntilClose => length,
            Framing::Empty | Framing::Chunked => 0,
        }
    }

    /// The caller has written so many [unframed](Self::unframed) bytes of the body itself, after
    /// everything in [`Self::output`].
    pub fn count_unframed(&mut self, written: usize) {
        if let Framing::Length(left) = &mut self.framing {
            *left = left.saturating_sub(written as u64);
        }
    }

    /// Ends the response. `Err`: its body is shorter than its length says, and only a close of the
    /// connection tells the peer.
    ///
    /// # Errors
    /// [`Incomplete`].
    pub fn end_response(&mut self, trailers: Option<&Fields>) -> Result<(), Incomplete> {
        match self.framing {
            Framing::Length(1..) => return Err(Incomplete),
            Framing::Chunked => {
                let none = Fields::default();
                last_chunk(&mut self.output, trailers.unwrap_or(&none), NameCase::Lower);
            }
            Framing::Empty | Framing::Length(0) | Framing::UntilClose => {}
        }
        self.exchange.response = Half::Complete;
        Ok(())
    }
}

/// The body of a response is shorter than its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is shorter than its length")]
pub struct Incomplete;

/// Whether a response without a body needs `Content-Length: 0` to say so.
fn needs_length(response: &ResponseHead, method: &[u8]) -> bool {
    response.body == BodyLength::Empty
        && method != b"HEAD"
        && !matches!(response.status, 100..=199 | 204 | 304)
        && !response.fields.contains(b"content-length")
}
