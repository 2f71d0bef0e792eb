//! HTTP/1.1 as both ends of a test read it: the visitor and the application.
//!
//! Not the engine of the product: an end that shared its code would share its faults. Bytes of a
//! head become characters one to one, so that a comparison sees each of them.

use std::io::{self, Read};

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::hash;

/// A head larger than this is an error.
const LONGEST_HEAD: usize = 1024 * 1024;
const READ: usize = 64 * 1024;

/// Header fields in order, with names in lower case.
pub(crate) type FieldList = Vec<(String, String)>;

/// The head of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) line: String,
    pub(crate) fields: FieldList,
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        Self { line, fields: fields(lines) }
    }

    /// A word of the first line.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.line.split(' ').nth(index).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The framing of the body of a request.
    pub(crate) fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::Length(0))
    }

    /// The framing of the body of a response to `method`.
    pub(crate) fn response_framing(&self, method: &str) -> Framing {
        match self.word(1) {
            "101" => Framing::UntilClose,
            "204" | "304" => Framing::Length(0),
            _ if method == "HEAD" => Framing::Length(0),
            _ => self.framing().unwrap_or(Framing::UntilClose),
        }
    }

    fn framing(&self) -> Option<Framing> {
        if self.field("transfer-encoding").is_some() {
            return Some(Framing::Chunked);
        }
        self.field("content-length")?.parse().ok().map(Framing::Length)
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> FieldList {
    let pairs = lines.filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}

/// The end of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A stream that is read as HTTP/1.1.
pub(crate) struct Incoming<R> {
    stream: R,
    read: Vec<u8>,
}

impl<R: Read> Incoming<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// The next head, or none if the peer has closed before its first byte.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = Head::parse(&self.read[..end]);
                self.read.drain(..end + 4);
                return Ok(Some(head));
            }
            if self.read.len() > LONGEST_HEAD {
                return Err(io::Error::other("the head has no end"));
            }
            if self.more()? == 0 {
                return match self.read.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Bytes that belong to no message: those of a tunnel.
    pub(crate) fn bytes(&mut self) -> io::Result<Vec<u8>> {
        if self.read.is_empty() {
            self.more()?;
        }
        Ok(std::mem::take(&mut self.read))
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).take(end).collect();
                return Ok(line.into_iter().map(char::from).collect());
            }
            if self.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let before = self.read.len();
        self.read.resize(before + READ, 0);
        let count = self.stream.read(&mut self.read[before..]);
        self.read.truncate(before + count.as_ref().copied().unwrap_or(0));
        count
    }
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// As its framing says.
    Whole,
    /// The peer closed or reset the connection before.
    Cut,
}

/// A body while it is read: its length and its SHA-256 so far.
pub(crate) struct Body {
    framing: Framing,
    /// Bytes that are missing of the chunk or of the whole.
    left: u64,
    started: bool,
    end: Option<BodyEnd>,
    sum: Box<dyn hash::Context>,
    length: u64,
    trailers: FieldList,
}

/// A body that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BodySeen {
    pub(crate) length: u64,
    pub(crate) sum: String,
    pub(crate) end: BodyEnd,
    pub(crate) trailers: FieldList,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        let left = match framing {
            Framing::Length(length) => length,
            Framing::Chunked | Framing::UntilClose => 0,
        };
        let sum = sha256();
        let trailers = Vec::new();
        Self { framing, left, started: false, end: None, sum, length: 0, trailers }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some() || matches!(self.framing, Framing::Length(0))
    }

    /// Reads a piece. Returns whether there may be more.
    pub(crate) fn piece(&mut self, incoming: &mut Incoming<impl Read>) -> io::Result<bool> {
        let moved = self.try_piece(incoming);
        match moved {
            Ok(()) => {}
            Err(error) if is_end(&error) => self.end = Some(BodyEnd::Cut),
            Err(error) => return Err(error),
        }
        Ok(self.end.is_none())
    }

    fn try_piece(&mut self, incoming: &mut Incoming<impl Read>) -> io::Result<()> {
        if self.end.is_some() {
            return Ok(());
        }
        if let Framing::Chunked = self.framing
            && self.left == 0
        {
            if self.started {
                incoming.line()?;
            }
            self.started = true;
            let size = incoming.line()?;
            let digits = size.split(';').next().unwrap_or_default().trim();
            self.left = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
            if self.left == 0 {
                return self.end_of_chunks(incoming);
            }
        }
        if let Framing::Length(_) = self.framing
            && self.left == 0
        {
            self.end = Some(BodyEnd::Whole);
            return Ok(());
        }
        if incoming.read.is_empty() && incoming.more()? == 0 {
            self.end = Some(match self.framing {
                Framing::UntilClose => BodyEnd::Whole,
                Framing::Length(_) | Framing::Chunked => BodyEnd::Cut,
            });
            return Ok(());
        }
        let count = match self.framing {
            Framing::UntilClose => incoming.read.len(),
            Framing::Length(_) | Framing::Chunked => {
                incoming.read.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))
            }
        };
        self.sum.update(&incoming.read[..count]);
        self.length += count as u64;
        self.left = self.left.saturating_sub(count as u64);
        incoming.read.drain(..count);
        Ok(())
    }

    fn end_of_chunks(&mut self, incoming: &mut Incoming<impl Read>) -> io::Result<()> {
        let mut lines = Vec::new();
        loop {
            let line = incoming.line()?;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        self.trailers = fields(lines.iter().map(String::as_str));
        self.end = Some(BodyEnd::Whole);
        Ok(())
    }

    /// The summary. A body that was not read to its end is cut.
    pub(crate) fn seen(self) -> BodySeen {
        let end = match self.framing {
            Framing::Length(0) => BodyEnd::Whole,
            Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
                self.end.unwrap_or(BodyEnd::Cut)
            }
        };
        let (length, trailers) = (self.length, self.trailers);
        BodySeen { length, sum: hex(self.sum.finish().as_ref()), end, trailers }
    }
}

/// The peer closed or reset the connection.
pub(crate) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// SHA-256, from the library of the handshakes.
pub(crate) fn sha256() -> Box<dyn hash::Context> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("a suite of TLS 1.3");
    suite.common.hash_provider.start()
}

/// In hexadecimal digits; the first eight bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of `bytes`, as a [`BodySeen`] has it.
pub(crate) fn sum_of(bytes: &[u8]) -> String {
    let mut sum = sha256();
    sum.update(bytes);
    hex(sum.finish().as_ref())
}
