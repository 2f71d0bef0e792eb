//! The responses of an upstream.
//!
//! Folded lines, repeated lengths and padded chunk sizes are read, because the end of the response
//! stays certain. The head that results is valid in every version of HTTP: it has at most one
//! Content-Length, and none beside chunks or where no length is allowed (RFC 9110, 8.6).

use super::{
    MessageEvent,
    connection::{self, Options, Persistence},
    line::Reading,
    reader::{EndOfInput, Framing, Head, Reader},
    target,
};
use crate::{
    fault::{Fault, Malformed},
    fields::Fields,
    message::{BodyLength, ResponseHead, Version},
    syntax,
};

/// The memory that the fields keep while the connection rests.
const KEPT: usize = 2048;

/// Reads the responses of one upstream connection. After a fault, the connection must end.
#[derive(Debug, Default)]
pub struct ResponseReader(Reader<ResponseSection>);

/// The connection ended inside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended inside a message")]
pub struct Truncated;

#[derive(Debug, Default)]
struct ResponseSection {
    response: ResponseHead,
    method: Method,
    persistence: Persistence,
    timeout: Option<u64>,
}

/// The method of the request, as far as it decides about the response's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Method {
    #[default]
    Other,
    Head,
    Connect,
}

impl ResponseReader {
    /// A reader at the start of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A request with this method is sent: the next final response answers it. A
    /// [`MessageEvent::End`] of the response before that was not asked for is dropped.
    pub fn expect(&mut self, method: &[u8]) {
        self.0.skip_end();
        self.0.head_mut().method = match method {
            b"HEAD" => Method::Head,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        };
    }

    /// Consumes bytes from the front of `input`. `None`: more input is needed. All of it was
    /// consumed then, and an incomplete line is kept. After a 101, or a 2xx to CONNECT, nothing is
    /// consumed any more.
    ///
    /// # Errors
    /// The end of the response, or its meaning, is uncertain.
    pub fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<MessageEvent<'a>>, Malformed> {
        self.0.next(input)
    }

    /// The upstream closed its side. `Some(End)`: the open response is complete. `None`: no byte of
    /// a response was received, or the connection is a tunnel.
    ///
    /// # Errors
    /// The open response is truncated.
    pub fn end_of_input(&mut self) -> Result<Option<MessageEvent<'static>>, Truncated> {
        self.0.head_mut().persistence = Persistence::Close;
        match self.0.end_of_input() {
            EndOfInput::Between => Ok(None),
            EndOfInput::Complete => Ok(Some(MessageEvent::End)),
            EndOfInput::Truncated => Err(Truncated),
        }
    }

    /// The head of the current response.
    #[must_use]
    pub fn response(&self) -> &ResponseHead {
        &self.0.head().response
    }

    /// The head of the current response. The reader does not need it: it may be exchanged for
    /// another one, whose memory the next response uses.
    pub fn response_mut(&mut self) -> &mut ResponseHead {
        &mut self.0.head_mut().response
    }

    /// The trailer fields of the response that ended last. They are kept until the next one begins.
    #[must_use]
    pub fn trailers(&self) -> &Fields {
        self.0.trailers()
    }

    /// Whether every byte of one response was received, and none of the next.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.0.is_between_messages()
    }

    /// Whether the connection may carry another request after the current response.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.0.head().persistence == Persistence::KeepAlive
    }

    /// The seconds that the upstream keeps the connection, as `Keep-Alive: timeout=N` of the last
    /// final response announced them.
    #[must_use]
    pub fn keep_alive_timeout(&self) -> Option<u64> {
        self.0.head().timeout
    }
}

/// The body that a response may have (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Its fields say.
    Announced,
    /// None, but Content-Length may name that of another response.
    Absent,
    /// None, and no Content-Length.
    Never,
    /// None: another protocol follows.
    Tunnel,
}

impl ResponseSection {
    fn body(&self) -> Body {
        match (self.response.status, self.method) {
            (101, _) | (200..=299, Method::Connect) => Body::Tunnel,
            (100..=199 | 204, _) => Body::Never,
            (304, _) | (_, Method::Head) => Body::Absent,
            (_, Method::Other | Method::Connect) => Body::Announced,
        }
    }
}

impl Head for ResponseSection {
    const READING: Reading = Reading::Lenient;

    fn clear(&mut self) {
        self.response.clear();
    }

    fn start_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let (version, rest) = line.split_at_checked(8).ok_or(Fault::StartLine)?;
        self.response.version = target::read_version(version)?;
        // The reason phrase has no meaning, and some applications leave it out with its space.
        self.response.status = match rest {
            [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']
            | [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
                [a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(**digit - b'0'))
            }
            _ => return Err(Fault::StartLine),
        };
        Ok(())
    }

    fn fields(&mut self) -> &mut Fields {
        &mut self.response.fields
    }

    fn framing(&mut self) -> Result<Framing, Malformed> {
        let body = self.body();
        let response = &mut self.response;
        let (mut lengths, mut encodings, mut timeout) = (Lengths::None, 0, None);
        let mut options = Options::default();
        for field in response.fields.iter() {
            match field.name {
                b"content-length" => lengths.add(field.value),
                b"transfer-encoding" => encodings += 1,
                b"connection" => options.add(field.value),
                b"keep-alive" => timeout = timeout.or(connection::timeout(field.value)),
                _ => {}
            }
        }
        let old_encoding = encodings > 0 && response.version == Version::Http10;
        let framing = match body {
            Body::Tunnel => Framing::Tunnel,
            Body::Never | Body::Absent => Framing::Empty,
            Body::Announced if old_encoding => {
                return Err(Fault::NotInHttp10.of(b"transfer-encoding"));
            }
            Body::Announced if encodings > 0 => {
                let mut members = response.fields.members(b"transfer-encoding");
                let first = members.next().unwrap_or_default();
                if !first.eq_ignore_ascii_case(b"chunked") || members.next().is_some() {
                    return Err(Fault::Encoding.of(b"transfer-encoding"));
                }
                Framing::Chunked
            }
            Body::Announced => lengths.get()?.map_or(Framing::UntilClose, Framing::Length),
        };
        if encodings > 0 {
            response.fields.remove(b"transfer-encoding");
        }
        match body {
            // RFC 9112, 6.3: Transfer-Encoding overrides Content-Length.
            Body::Announced | Body::Absent if encodings == 0 => {
                if let (Some(length), Lengths::Repeated(_)) = (lengths.get()?, lengths) {
                    response.fields.set(b"content-length", length.to_string().as_bytes());
                }
            }
            Body::Announced | Body::Absent | Body::Never | Body::Tunnel => {
                if lengths != Lengths::None {
                    response.fields.remove(b"content-length");
                }
            }
        }
        response.body = match framing {
            Framing::Empty | Framing::Tunnel => BodyLength::Empty,
            Framing::Length(length) => BodyLength::Known(length),
            Framing::Chunked | Framing::UntilClose => BodyLength::Unknown,
        };
        if !response.is_interim() || framing == Framing::Tunnel {
            self.timeout = timeout;
            self.persistence = match framing {
                Framing::UntilClose | Framing::Tunnel => Persistence::Close,
                // RFC 9112, 6.1: the framing is suspect.
                Framing::Empty if old_encoding => Persistence::Close,
                Framing::Empty | Framing::Length(_) | Framing::Chunked => {
                    options.persistence(response.version)
                }
            };
        }
        Ok(framing)
    }

    fn shrink(&mut self) {
        self.response.clear();
        self.response.fields.shrink(KEPT);
    }
}

/// The values in the Content-Length fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    None,
    Once(u64),
    /// Several times the same.
    Repeated(u64),
    /// Different ones, or no number.
    Malformed,
}

impl Lengths {
    /// Adds the values of one field.
    fn add(&mut self, value: &[u8]) {
        for part in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            *self = match (*self, syntax::length(part)) {
                (Self::None, Ok(length)) => Self::Once(length),
                (Self::Once(before) | Self::Repeated(before), Ok(length)) if before == length => {
                    Self::Repeated(length)
                }
                _ => Self::Malformed,
            };
        }
    }

    fn get(self) -> Result<Option<u64>, Malformed> {
        match self {
            Self::None => Ok(None),
            Self::Once(length) | Self::Repeated(length) => Ok(Some(length)),
            Self::Malformed => Err(Fault::Length.of(b"content-length")),
        }
    }
}
