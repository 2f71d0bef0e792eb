//! Whether HTTP/1 bytes can be read in one way only.
//!
//! Two parsers that disagree on where a request ends are how one is smuggled inside another. hyper
//! would read some shapes leniently (a bare LF, a length beside chunks), and what it repairs is not
//! to be seen afterwards. So every byte of the peer passes here before hyper reads it, and what
//! RFC 9112 lets a recipient guess about is a [`Fault`]. Nothing is changed, only refused.

/// The longest head: the 128 KiB of fields that Cloudflare sends at most, and a request line.
const LONGEST_HEAD: usize = (128 + 8) * 1024;

/// The most fields of a head; as many as hyper reads.
const MOST_FIELDS: usize = 100;

/// The longest line of a chunk's size.
const LONGEST_SIZE: usize = 256;

/// A shape that is refused, by what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A line ends in LF without CR, or a CR is followed by something else.
    BareLineEnd,
    /// NUL, or another control character.
    ControlCharacter,
    /// A field goes on in the next line (obs-fold).
    FoldedLine,
    /// White space before a field's colon, or no colon.
    FieldName,
    /// The request line is not method, target and version.
    RequestLine,
    /// Content-Length is no number, or comes twice.
    Length,
    /// Transfer-Encoding is something else than chunked.
    Encoding,
    /// Content-Length and Transfer-Encoding.
    LengthAndEncoding,
    /// Transfer-Encoding or Upgrade in HTTP/1.0.
    TooOld,
    /// A chunk without a proper size or end.
    Chunk,
    /// A head with too many fields, or too long.
    TooLarge,
}

impl Fault {
    /// What the peer is told.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::BareLineEnd => "a line does not end in CR LF",
            Self::ControlCharacter => "a control character in the head",
            Self::FoldedLine => "a header is folded over two lines",
            Self::FieldName => "a header line without a proper name",
            Self::RequestLine => "the request line is malformed",
            Self::Length => "Content-Length is malformed or repeated",
            Self::Encoding => "Transfer-Encoding is not chunked alone",
            Self::LengthAndEncoding => "Content-Length beside Transfer-Encoding",
            Self::TooOld => "HTTP/1.0 has neither Transfer-Encoding nor Upgrade",
            Self::Chunk => "a chunk is malformed",
            Self::TooLarge => "the request's head is too large",
        }
    }
}

/// Where in a request something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Head,
    Body,
}

/// Follows the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Strict {
    stage: Stage,
    /// The beginning of a line whose end has not come yet.
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

/// What the head says about where the request ends.
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
    /// Looks at the next bytes.
    ///
    /// # Errors
    /// What is wrong with them, and how many of them belong to requests that are whole.
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

    /// Takes some bytes, and gives back what follows.
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

    /// Whether every request that has begun has come to its end.
    pub(super) fn is_between(&self) -> bool {
        self.stage == Stage::RequestLine && self.line.is_empty()
    }

    /// Where it has stopped.
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

    /// Takes one line, or the beginning of one, and gives back what follows.
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

    /// A whole line, with its end.
    fn take(&mut self, line: &[u8]) -> Result<(), Fault> {
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::BareLineEnd)?;
        match line.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t') {
            Some(b'\r') => return Err(Fault::BareLineEnd),
            Some(_) => return Err(Fault::ControlCharacter),
            None => {}
        }
        self.stage = match self.stage {
            // An empty line before a request is left over from the last one.
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

    /// What follows the head.
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

/// A field's name and its value without white space around it.
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

/// A size in hexadecimal, before extensions, which say nothing about it.
fn chunk_size(line: &[u8]) -> Result<u64, Fault> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    number(&line[..end], 16).ok_or(Fault::Chunk)
}

/// Digits alone: no sign, no space, nothing that does not fit.
fn number(text: &[u8], radix: u32) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(|digit| char::from(*digit).is_digit(radix));
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    u64::from_str_radix(text, radix).ok()
}

/// What is left of `left` bytes, and the bytes behind them.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    match usize::try_from(left) {
        Ok(here) if here <= bytes.len() => (0, &bytes[here..]),
        Ok(_) | Err(_) => (left - bytes.len() as u64, &[]),
    }
}

#[cfg(test)]
#[path = "strict_tests.rs"]
mod tests;
