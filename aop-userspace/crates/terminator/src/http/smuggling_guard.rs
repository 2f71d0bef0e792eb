//! Refuses ambiguous HTTP/1.
//!
//! Request smuggling needs two parsers that disagree about the end of a request. hyper reads some
//! forms leniently (a bare LF, Content-Length beside Transfer-Encoding) and does not report that.
//! So every byte of the peer passes through this module before hyper reads it, and each form that
//! RFC 9112 lets a recipient interpret is a [`Fault`]. This module refuses bytes and changes none.

/// The longest head: Cloudflare sends at most 128 KiB of fields, and there is a request line.
const LONGEST_HEAD: usize = (128 + 8) * 1024;

/// The largest number of fields in a head, as in hyper.
const MOST_FIELDS: usize = 100;

/// The longest chunk-size line.
const LONGEST_SIZE: usize = 256;

/// The reason to refuse a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
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
    TooOld,
    /// A chunk without a valid size or end.
    Chunk,
    /// A head with too many fields, or too long.
    TooLarge,
}

impl Fault {
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
            Self::TooOld => "HTTP/1.0 has neither Transfer-Encoding nor Upgrade",
            Self::Chunk => "a chunk is malformed",
            Self::TooLarge => "the request's head is too large",
        }
    }
}

/// The part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Head,
    Body,
}

/// Follows the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Strict {
    stage: Stage,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    head: Head,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
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
struct Head {
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

impl Strict {
    /// Checks the next bytes.
    ///
    /// # Errors
    /// The fault, and how many of `bytes` belong to complete requests before it.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), (Fault, usize)> {
        let (mut rest, mut whole) = (bytes, 0);
        while !rest.is_empty() {
            rest = self.step(rest).map_err(|fault| (fault, whole))?;
            if self.is_between() {
                whole = bytes.len() - rest.len();
            }
        }
        Ok(())
    }

    /// Consumes some bytes and returns the rest.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        match self.stage {
            Stage::Body(left) => {
                let (left, rest) = skip(left, bytes);
                self.stage = if left == 0 { Stage::RequestLine } else { Stage::Body(left) };
                Ok(rest)
            }
            Stage::ChunkData(left) => {
                let (left, rest) = skip(left, bytes);
                self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::ChunkData(left) };
                Ok(rest)
            }
            Stage::RequestLine
            | Stage::Fields
            | Stage::ChunkSize
            | Stage::ChunkEnd
            | Stage::Trailers => self.follow_line(bytes),
        }
    }

    /// Whether every request that began is complete.
    pub(super) fn is_between(&self) -> bool {
        self.stage == Stage::RequestLine && self.line.is_empty()
    }

    /// The part of the request that comes next.
    pub(super) fn part(&self) -> Part {
        match self.stage {
            Stage::RequestLine | Stage::Fields => Part::Head,
            Stage::Body(_)
            | Stage::ChunkSize
            | Stage::ChunkData(_)
            | Stage::ChunkEnd
            | Stage::Trailers => Part::Body,
        }
    }

    /// Consumes one line, or the beginning of one, and returns the rest.
    fn follow_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        self.head.bytes += part.len();
        let in_chunks = matches!(self.stage, Stage::ChunkSize | Stage::ChunkEnd);
        if in_chunks && self.line.len() + part.len() > LONGEST_SIZE {
            return Err(Fault::Chunk);
        }
        if self.head.bytes > LONGEST_HEAD {
            return Err(Fault::TooLarge);
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
    fn take(&mut self, line: &[u8]) -> Result<(), Fault> {
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::BareLineEnd)?;
        match line.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t') {
            Some(b'\r') => return Err(Fault::BareLineEnd),
            Some(_) => return Err(Fault::ControlCharacter),
            None => {}
        }
        self.stage = match self.stage {
            // RFC 9112, 2.2: a server ignores empty lines before a request line.
            Stage::RequestLine if line.is_empty() => Stage::RequestLine,
            Stage::RequestLine => {
                self.head =
                    Head { version: version(line)?, bytes: self.head.bytes, ..Head::default() };
                Stage::Fields
            }
            Stage::Fields if line.is_empty() => self.body()?,
            Stage::Fields => {
                self.head.field(line)?;
                Stage::Fields
            }
            Stage::ChunkSize => match chunk_size(line)? {
                0 => Stage::Trailers,
                size => Stage::ChunkData(size),
            },
            Stage::ChunkEnd if line.is_empty() => {
                self.head.bytes = 0;
                Stage::ChunkSize
            }
            Stage::ChunkEnd => return Err(Fault::Chunk),
            Stage::Trailers if line.is_empty() => {
                self.head.bytes = 0;
                Stage::RequestLine
            }
            Stage::Trailers => {
                self.head.count()?;
                named(line)?;
                Stage::Trailers
            }
            stage @ (Stage::Body(_) | Stage::ChunkData(_)) => stage,
        };
        Ok(())
    }

    /// The stage after the head.
    fn body(&mut self) -> Result<Stage, Fault> {
        let head = &self.head;
        if head.version == Version::Old && (head.chunked || head.upgrade) {
            return Err(Fault::TooOld);
        }
        let stage = match (head.chunked, head.length) {
            (true, Some(_)) => return Err(Fault::LengthAndEncoding),
            (true, None) => Stage::ChunkSize,
            (false, Some(0) | None) => Stage::RequestLine,
            (false, Some(length)) => Stage::Body(length),
        };
        self.head.bytes = 0;
        Ok(stage)
    }
}

impl Head {
    fn count(&mut self) -> Result<(), Fault> {
        self.fields += 1;
        if self.fields > MOST_FIELDS { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.count()?;
        let (name, value) = named(line)?;
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let before = self.length.replace(number(value, 10).ok_or(Fault::Length)?);
                return before.map_or(Ok(()), |_| Err(Fault::Length));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let alone = !self.chunked && value.eq_ignore_ascii_case(b"chunked");
                self.chunked = true;
                return if alone { Ok(()) } else { Err(Fault::Encoding) };
            }
            _ => {}
        }
        Ok(())
    }
}

/// The name and the trimmed value of a field.
fn named(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Fault::FoldedLine);
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Fault::FieldName)?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Fault::FieldName);
    }
    Ok((name, value[1..].trim_ascii()))
}

fn version(line: &[u8]) -> Result<Version, Fault> {
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some([_, ..]), Some([_, ..]), Some(b"HTTP/1.1"), None) => Ok(Version::Current),
        (Some([_, ..]), Some([_, ..]), Some(b"HTTP/1.0"), None) => Ok(Version::Old),
        _ => Err(Fault::RequestLine),
    }
}

/// The size of a chunk; chunk extensions do not affect it.
fn chunk_size(line: &[u8]) -> Result<u64, Fault> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    number(&line[..end], 16).ok_or(Fault::Chunk)
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
