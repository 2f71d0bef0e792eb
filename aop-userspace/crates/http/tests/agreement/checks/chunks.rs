//! A small decoder of chunked bodies (RFC 9112, 7.1), written without a look at the engine's.

use super::heads::{Kind, List, Other, faults_of_lines, read};

/// The longest line before a chunk.
const LONGEST_LINE: usize = 256;

/// The body, as far as it could be read.
#[derive(Debug)]
pub struct Decoded {
    pub body: Vec<u8>,
    pub end: End,
}

/// The place at which the decoder stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Behind the trailers, which are these, and as many bytes.
    Complete(List, usize),
    /// The bytes end inside the body.
    Incomplete,
    /// A line, a size or a trailer field is malformed.
    Malformed,
}

/// Decodes the chunks at the front of `bytes`, which belong to a message of this kind.
pub fn decode(kind: Kind, bytes: &[u8]) -> Decoded {
    let mut body = Vec::new();
    let end = read_chunks(kind, bytes, &mut body).unwrap_or_else(|end| end);
    Decoded { body, end }
}

fn read_chunks(kind: Kind, bytes: &[u8], body: &mut Vec<u8>) -> Result<End, End> {
    let mut at = 0;
    loop {
        let line = line(&bytes[at..], LONGEST_LINE)?;
        at += line.len() + 2;
        let size = size(kind, line).ok_or(End::Malformed)?;
        if size == 0 {
            return Ok(trailers(kind, &bytes[at..], at));
        }
        let left = bytes.len() - at;
        if left as u64 <= size {
            body.extend_from_slice(&bytes[at..][..size.min(left as u64) as usize]);
            return Err(End::Incomplete);
        }
        body.extend_from_slice(&bytes[at..][..size as usize]);
        at += size as usize;
        match line_end(&bytes[at..], 2)? {
            0 => at += 2,
            _ => return Err(End::Malformed),
        }
    }
}

/// The text of the line at the front of `bytes`, without CR LF.
fn line(bytes: &[u8], longest: usize) -> Result<&[u8], End> {
    let line = &bytes[..line_end(bytes, longest)?];
    let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if line.iter().any(control) { Err(End::Malformed) } else { Ok(line) }
}

/// The place of CR LF, in a line of at most `longest` bytes.
fn line_end(bytes: &[u8], longest: usize) -> Result<usize, End> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) if end >= longest => Err(End::Malformed),
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(end - 1),
        Some(_) => Err(End::Malformed),
        None if bytes.len() > longest => Err(End::Malformed),
        None => Err(End::Incomplete),
    }
}

fn size(kind: Kind, line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line.split(|byte| *byte == b';').next()?).ok()?;
    let text = match kind {
        Kind::Request => text,
        Kind::Response => text.trim_end_matches([' ', '\t']),
    };
    if text.starts_with('+') { None } else { u64::from_str_radix(text, 16).ok() }
}

/// The trailers, which httparse reads behind a start line that is added.
fn trailers(kind: Kind, bytes: &[u8], at: usize) -> End {
    match section(kind, bytes) {
        Other::Accepted(head) => return End::Complete(head.fields, at + head.length),
        Other::Refused | Other::Partial => {}
    }
    // The engine judges each line that is complete.
    let lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    match section(kind, &[&bytes[..lines], b"\r\n"].concat()) {
        Other::Accepted(_) => End::Incomplete,
        Other::Refused | Other::Partial => End::Malformed,
    }
}

/// The fields up to an empty line, and their length.
fn section(kind: Kind, bytes: &[u8]) -> Other {
    let start: &[u8] = match kind {
        Kind::Request => b"GET / HTTP/1.1\r\n",
        Kind::Response => b"HTTP/1.1 200 OK\r\n",
    };
    let text = [start, bytes].concat();
    match read(kind, &text) {
        Other::Accepted(mut head) => {
            let faults = faults_of_lines(kind, &text[..head.length], head.fields.len());
            head.length -= start.len();
            if faults.is_empty() { Other::Accepted(head) } else { Other::Refused }
        }
        other @ (Other::Partial | Other::Refused) => other,
    }
}
