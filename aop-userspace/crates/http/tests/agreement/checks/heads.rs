//! Heads as httparse reads them, and the rules of lines that httparse does not check.

use aop_http::{Fault, Fields};

/// More fields than the engine takes.
const FIELDS: usize = 1_100;
/// The longest head, and the largest number of fields.
const LONGEST: usize = 136 * 1024;
const MOST: usize = 1_000;
/// The longest run of empty lines in front of a request.
const EMPTY_LINES: usize = 4_096;

/// Names in lower case, and values.
pub type List = Vec<(Vec<u8>, Vec<u8>)>;

/// A head that httparse accepts.
#[derive(Debug)]
pub struct Accepted {
    /// The bytes of the head, the empty line included.
    pub length: usize,
    /// The method, and the target as it stands there; both empty in a response.
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    /// 0 or 1: the minor version.
    pub version: u8,
    pub status: u16,
    pub fields: List,
}

impl Accepted {
    /// The values of the fields with this name.
    pub fn all(&self, name: &[u8]) -> Vec<&[u8]> {
        self.fields.iter().filter(|field| field.0 == name).map(|field| &field.1[..]).collect()
    }

    /// The first of them.
    pub fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.all(name).first().copied()
    }
}

/// A number of 63 bits in digits.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    digits.then_some(number.cast_unsigned())
}

/// The outcome of reading a head.
#[derive(Debug)]
pub enum Other {
    Accepted(Accepted),
    Partial,
    Refused,
}

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
}

/// The head at the front of `bytes`, read by httparse.
pub fn read(kind: Kind, bytes: &[u8]) -> Other {
    let mut storage = vec![httparse::EMPTY_HEADER; FIELDS];
    // httparse gives targets as text: here each byte above 0x7f counts as a letter.
    let ascii = match kind {
        Kind::Request => without_high_bytes(bytes),
        Kind::Response => bytes.to_vec(),
    };
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    let (status, method, target, version, code, fields) = match kind {
        Kind::Request => {
            let mut head = httparse::Request::new(&mut storage);
            let status = config.parse_request(&mut head, &ascii);
            (status, head.method, head.path, head.version, None, head.headers)
        }
        Kind::Response => {
            let mut head = httparse::Response::new(&mut storage);
            let status = config.parse_response(&mut head, &ascii);
            (status, None, None, head.version, head.code, head.headers)
        }
    };
    let length = match status {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Other::Partial,
        Err(_) => return Other::Refused,
    };
    let target = target.map_or(Vec::new(), |text| {
        let start = text.as_ptr() as usize - ascii.as_ptr() as usize;
        bytes[start..start + text.len()].to_vec()
    });
    Other::Accepted(Accepted {
        length,
        method: method.unwrap_or_default().into(),
        target,
        version: version.unwrap(),
        status: code.unwrap_or(0),
        fields: fields.iter().map(|field| (lower(field.name), unfolded(field.value))).collect(),
    })
}

/// The same bytes, with a letter for each byte above 0x7f in the first line that is not empty.
fn without_high_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut ascii = bytes.to_vec();
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(bytes.len());
    let line = ascii[start..].split_mut(|byte| *byte == b'\n').next();
    // The method ends at the first space; behind the second one is the version.
    let target = line.and_then(|line| line.split_mut(|byte| *byte == b' ').nth(1));
    for byte in target.into_iter().flatten().filter(|byte| !byte.is_ascii()) {
        *byte = b'x';
    }
    ascii
}

fn lower(name: &str) -> Vec<u8> {
    name.to_ascii_lowercase().into_bytes()
}

/// A value with one space for each line end in it (RFC 9112, 5.2).
fn unfolded(value: &[u8]) -> Vec<u8> {
    let lines = value.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(&b' ')
}

/// Names and values of the engine's fields.
pub fn listed(fields: &Fields) -> List {
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

/// The faults of a head in its lines. `head` begins with the empty lines before it.
pub fn faults_of_lines(kind: Kind, head: &[u8], fields: usize) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut note = |wrong: bool, fault| faults.extend(wrong.then_some(fault));
    let crs = head.iter().enumerate().filter(|(_, byte)| **byte == b'\r');
    let lone_cr = crs.clone().any(|(at, _)| head.get(at + 1) != Some(&b'\n'));
    note(lone_cr, Fault::BareLineEnd);
    let lfs = head.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let lone_lf = lfs.clone().any(|(at, _)| at == 0 || head[at - 1] != b'\r');
    note(lone_lf && kind == Kind::Request, Fault::BareLineEnd);
    let control = |byte: &u8| byte.is_ascii_control() && !b"\t\r\n".contains(byte);
    note(head.iter().any(control), Fault::ControlCharacter);
    let mut lines = head.split(|byte| *byte == b'\n').skip_while(|line| is_blank(line)).skip(1);
    let folded = |line: &&[u8]| matches!(line.first(), Some(b' ' | b'\t'));
    let first_folded = lines.clone().next().as_ref().is_some_and(folded);
    let refuses = kind == Kind::Request && lines.any(|line| folded(&line));
    note(first_folded || refuses, Fault::FoldedLine);
    let start = head.split(|byte| *byte == b'\n').take_while(|line| is_blank(line));
    let empty: usize = start.map(|line| line.len() + 1).sum();
    note(empty > EMPTY_LINES, Fault::StartLine);
    note(head.len() - empty > LONGEST || fields > MOST, Fault::TooLarge);
    faults
}

/// The shortest head that begins with these lines.
pub fn closed(kind: Kind, lines: &[u8]) -> Vec<u8> {
    let start: &[u8] = match kind {
        _ if !lines.iter().all(|byte| b"\r\n".contains(byte)) => b"",
        Kind::Request => b"GET / HTTP/1.1\r\n",
        Kind::Response => b"HTTP/1.1 200 OK\r\n",
    };
    [lines, start, b"\r\n"].concat()
}

fn is_blank(line: &[u8]) -> bool {
    line.is_empty() || line == b"\r"
}
