//! Refuses ambiguous HTTP/1.
//!
//! Request smuggling needs two parsers that disagree about the end of a request. hyper reads some
//! forms leniently (a bare LF, Content-Length beside Transfer-Encoding) and does not report that.
//! So every byte of the peer passes through this module before hyper reads it, and each form that
//! RFC 9112 lets a recipient interpret is a [`FramingFault`]. This module refuses bytes and changes
//! none.

/// The longest head: Cloudflare sends at most 128 KiB of fields, and there is a request line.
const MAX_HEAD: usize = (128 + 8) * 1024;

/// The largest number of fields in a head, as in hyper.
const MAX_FIELDS: usize = 100;

/// The longest chunk-size line.
const MAX_CHUNK_LINE: usize = 256;

/// The reason to refuse a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramingFault {
    /// A line ends in LF without CR, or a CR is followed by something else.
    BareLineEnd,
    /// NUL, or another control character.
    ControlCharacter,
    /// A field continues on the next line (obs-fold).
    FoldedLine,
    /// White space before a field's colon, or no colon.
    FieldName,
    /// The request line is not method, target and version.
    RequestLine,
    /// Content-Length is no number, or appears twice.
    Length,
    /// Transfer-Encoding is not just `chunked`.
    Encoding,
    /// Both Content-Length and Transfer-Encoding.
    LengthAndEncoding,
    /// Transfer-Encoding or Upgrade in HTTP/1.0.
    NotInHttp10,
    /// A chunk without a valid size or end.
    Chunk,
    /// A head with too many fields, or too long.
    TooLarge,
}

impl FramingFault {
    /// The explanation that the peer gets.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::BareLineEnd => "a line does not end in CR LF",
            Self::ControlCharacter => "the head contains a control character",
            Self::FoldedLine => "a header is folded over two lines",
            Self::FieldName => "a header line has no valid name",
            Self::RequestLine => "the request line is malformed",
            Self::Length => "Content-Length is malformed or repeated",
            Self::Encoding => "Transfer-Encoding must be chunked alone",
            Self::LengthAndEncoding => "Content-Length and Transfer-Encoding exclude each other",
            Self::NotInHttp10 => "HTTP/1.0 has neither Transfer-Encoding nor Upgrade",
            Self::Chunk => "a chunk is malformed",
            Self::TooLarge => "the request's head is too large",
        }
    }
}

/// The part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestPart {
    Head,
    Body,
}

/// Follows the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct RequestFramer {
    state: FramingState,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    head: RequestHead,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FramingState {
    #[default]
    RequestLine,
    Fields,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
}

/// The facts in the head that determine the end of the request.
#[derive(Debug, Default)]
struct RequestHead {
    bytes: usize,
    fields: usize,
    version: Version,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Version {
    #[default]
    Current,
    Old,
}

impl RequestFramer {
    /// Checks the next bytes.
    ///
    /// # Errors
    /// The fault, and how many of `bytes` belong to complete requests before it.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Result<(), (FramingFault, usize)> {
        let (mut rest, mut whole) = (bytes, 0);
        while !rest.is_empty() {
            rest = self.step(rest).map_err(|fault| (fault, whole))?;
            if self.is_at_boundary() {
                whole = bytes.len() - rest.len();
            }
        }
        Ok(())
    }

    /// Consumes some bytes and returns the rest.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], FramingFault> {
        match self.state {
            FramingState::Body(left) => {
                let (left, rest) = skip(left, bytes);
                self.state =
                    if left == 0 { FramingState::RequestLine } else { FramingState::Body(left) };
                Ok(rest)
            }
            FramingState::ChunkData(left) => {
                let (left, rest) = skip(left, bytes);
                self.state =
                    if left == 0 { FramingState::ChunkEnd } else { FramingState::ChunkData(left) };
                Ok(rest)
            }
            FramingState::RequestLine
            | FramingState::Fields
            | FramingState::ChunkSize
            | FramingState::ChunkEnd
            | FramingState::Trailers => self.check_line(bytes),
        }
    }

    /// Whether every request that began is complete.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.state == FramingState::RequestLine && self.line.is_empty()
    }

    /// The part of the request that comes next.
    pub(super) fn part(&self) -> RequestPart {
        match self.state {
            FramingState::RequestLine | FramingState::Fields => RequestPart::Head,
            FramingState::Body(_)
            | FramingState::ChunkSize
            | FramingState::ChunkData(_)
            | FramingState::ChunkEnd
            | FramingState::Trailers => RequestPart::Body,
        }
    }

    /// Consumes one line, or the beginning of one, and returns the rest.
    fn check_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], FramingFault> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        self.head.bytes += part.len();
        let in_chunks = matches!(self.state, FramingState::ChunkSize | FramingState::ChunkEnd);
        if in_chunks && self.line.len() + part.len() > MAX_CHUNK_LINE {
            return Err(FramingFault::Chunk);
        }
        if self.head.bytes > MAX_HEAD {
            return Err(FramingFault::TooLarge);
        }
        match (end, self.line.is_empty()) {
            (None, _) => self.line.extend_from_slice(part),
            (Some(_), true) => self.take(part)?,
            (Some(_), false) => {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(part);
                self.take(&line)?;
            }
        }
        Ok(rest)
    }

    /// Checks a whole line, which includes its line end.
    fn take(&mut self, line: &[u8]) -> Result<(), FramingFault> {
        let line = line.strip_suffix(b"\r\n").ok_or(FramingFault::BareLineEnd)?;
        match line.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t') {
            Some(b'\r') => return Err(FramingFault::BareLineEnd),
            Some(_) => return Err(FramingFault::ControlCharacter),
            None => {}
        }
        self.state = match self.state {
            // RFC 9112, 2.2: a server ignores empty lines before a request line.
            FramingState::RequestLine if line.is_empty() => FramingState::RequestLine,
            FramingState::RequestLine => {
                self.head = RequestHead {
                    version: version(line)?,
                    bytes: self.head.bytes,
                    ..RequestHead::default()
                };
                FramingState::Fields
            }
            FramingState::Fields if line.is_empty() => self.body()?,
            FramingState::Fields => {
                self.head.field(line)?;
                FramingState::Fields
            }
            FramingState::ChunkSize => match chunk_size(line)? {
                0 => FramingState::Trailers,
                size => FramingState::ChunkData(size),
            },
            FramingState::ChunkEnd if line.is_empty() => {
                self.head.bytes = 0;
                FramingState::ChunkSize
            }
            FramingState::ChunkEnd => return Err(FramingFault::Chunk),
            FramingState::Trailers if line.is_empty() => {
                self.head.bytes = 0;
                FramingState::RequestLine
            }
            FramingState::Trailers => {
                self.head.count()?;
                field(line)?;
                FramingState::Trailers
            }
            state @ (FramingState::Body(_) | FramingState::ChunkData(_)) => state,
        };
        Ok(())
    }

    /// The stage after the head.
    fn body(&mut self) -> Result<FramingState, FramingFault> {
        let head = &self.head;
        if head.version == Version::Old && (head.chunked || head.upgrade) {
            return Err(FramingFault::NotInHttp10);
        }
        let state = match (head.chunked, head.length) {
            (true, Some(_)) => return Err(FramingFault::LengthAndEncoding),
            (true, None) => FramingState::ChunkSize,
            (false, Some(0) | None) => FramingState::RequestLine,
            (false, Some(length)) => FramingState::Body(length),
        };
        self.head.bytes = 0;
        Ok(state)
    }
}

impl RequestHead {
    fn count(&mut self) -> Result<(), FramingFault> {
        self.fields += 1;
        if self.fields > MAX_FIELDS { Err(FramingFault::TooLarge) } else { Ok(()) }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), FramingFault> {
        self.count()?;
        let (name, value) = field(line)?;
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let before = self.length.replace(number(value, 10).ok_or(FramingFault::Length)?);
                return before.map_or(Ok(()), |_| Err(FramingFault::Length));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let alone = !self.chunked && value.eq_ignore_ascii_case(b"chunked");
                self.chunked = true;
                return if alone { Ok(()) } else { Err(FramingFault::Encoding) };
            }
            _ => {}
        }
        Ok(())
    }
}

/// The name and the trimmed value of a field.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), FramingFault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(FramingFault::FoldedLine);
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or(FramingFault::FieldName)?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(FramingFault::FieldName);
    }
    Ok((name, value[1..].trim_ascii()))
}

fn version(line: &[u8]) -> Result<Version, FramingFault> {
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some([_, ..]), Some([_, ..]), Some(b"HTTP/1.1"), None) => Ok(Version::Current),
        (Some([_, ..]), Some([_, ..]), Some(b"HTTP/1.0"), None) => Ok(Version::Old),
        _ => Err(FramingFault::RequestLine),
    }
}

/// The size of a chunk; chunk extensions do not affect it.
fn chunk_size(line: &[u8]) -> Result<u64, FramingFault> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    number(&line[..end], 16).ok_or(FramingFault::Chunk)
}

/// A number of digits only, without sign or space, that fits into 64 bits.
fn number(text: &[u8], radix: u32) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(|digit| char::from(*digit).is_digit(radix));
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    u64::from_str_radix(text, radix).ok()
}

/// Skips up to `left` bytes: the number that is still missing, and the bytes after them.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    match usize::try_from(left) {
        Ok(here) if here <= bytes.len() => (0, &bytes[here..]),
        Ok(_) | Err(_) => (left - bytes.len() as u64, &[]),
    }
}

#[cfg(test)]
mod tests;
