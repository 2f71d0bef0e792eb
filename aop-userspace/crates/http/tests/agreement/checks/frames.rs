//! Frames of a client, by choices: most are right, and some break one rule.

use httlib_hpack as hpack;

use super::choices::Choices;

/// The preface of a client (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

type Field = (&'static str, &'static str);

const HEADS: [&[Field]; 6] = [
    &[(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")],
    &[(":method", "POST"), (":scheme", "http"), (":authority", "a.test"), (":path", "/a?b")],
    &[(":path", "*"), (":authority", "a.test"), (":scheme", "https"), (":method", "OPTIONS")],
    &[(":method", "CONNECT"), (":authority", "a.test:443")],
    &[(":method", "PUT"), (":scheme", "https"), (":path", "/"), ("content-length", "3")],
    &[(":method", "HEAD"), (":scheme", "https"), (":authority", "a.test"), (":path", "/x#y")],
];
const FIELDS: [Field; 16] = [
    ("host", "a.test"),
    ("accept", "*/*"),
    ("cookie", "a=b"),
    ("x-long", "0123456789012345678901234567890123456789"),
    ("te", "trailers"),
    ("content-length", "3"),
    ("content-length", "0"),
    ("te", "gzip"),
    ("connection", "close"),
    ("transfer-encoding", "chunked"),
    ("X-Upper", "x"),
    ("x y", "z"),
    (":path", "/again"),
    (":other", "x"),
    ("", "x"),
    ("x-control", "a\nb"),
];
/// The fields at the front of [`FIELDS`] that no rule forbids.
const VALID: usize = 5;

struct Client<'c, 'b> {
    choices: &'c mut Choices<'b>,
    encoder: hpack::Encoder<'static>,
    next: u32,
    bytes: Vec<u8>,
}

/// The preface, and frames until the choices end.
pub fn client(choices: &mut Choices<'_>) -> Vec<u8> {
    let encoder = hpack::Encoder::with_dynamic_size(4_096);
    let mut client = Client { choices, encoder, next: 1, bytes: Vec::new() };
    client.bytes.extend_from_slice(PREFACE);
    match client.choices.below(32) {
        31 => client.bytes[5] ^= 1,
        30 => client.any(),
        29 => {}
        _ => client.settings(),
    }
    while !client.choices.is_empty() {
        client.frame();
    }
    client.bytes
}

impl Client<'_, '_> {
    fn frame(&mut self) {
        match self.choices.below(32) {
            0..=7 => self.request(),
            8..=14 => self.data(),
            15 | 16 => {
                let list = [FIELDS[self.choices.below(FIELDS.len())]];
                let stream = self.stream();
                self.headers(stream, &list, END_STREAM);
            }
            17 => self.settings(),
            18 => {
                let flags = u8::from(self.choices.one_in(4));
                self.write(6, flags, 0, b"12345678");
            }
            19 | 20 => {
                let stream = self.stream();
                let by = match self.choices.below(4) {
                    0 => 0,
                    1 => 0x7fff_ffff,
                    _ => self.choices.number() % 70_000,
                };
                let stream = if self.choices.one_in(3) { 0 } else { stream };
                self.write(8, 0, stream, &by.to_be_bytes());
            }
            21 | 22 => {
                let (stream, code) = (self.stream(), self.choices.byte());
                self.write(3, 0, stream, &[0, 0, 0, code]);
            }
            23 => {
                let (stream, on) = (self.stream(), self.choices.byte() % 16);
                self.write(2, 0, stream, &[0, 0, 0, on, 16]);
            }
            24 => {
                let last = self.choices.byte();
                self.write(7, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0]);
            }
            25 => self.write(11, 0xff, 3, b"unknown"),
            26 => {
                let length = self.choices.below(16);
                let block = self.choices.bytes(length);
                let stream = self.next;
                self.next += 2;
                self.write(1, END_STREAM | END_HEADERS, stream, block);
            }
            27 if self.choices.one_in(8) => self.ping_flood(),
            _ => self.any(),
        }
    }

    /// A stream that may be in use.
    fn stream(&mut self) -> u32 {
        let back = 2 * (self.choices.below(4) as u32 + 1);
        match self.choices.below(16) {
            15 => self.next + 2,
            14 => 2,
            _ => self.next.saturating_sub(back).max(1),
        }
    }

    fn request(&mut self) {
        let mut list = self.choices.of(&HEADS).to_vec();
        let wrong = self.choices.one_in(8);
        for _ in 0..self.choices.below(4) {
            let field = self.choices.below(if wrong { FIELDS.len() } else { VALID });
            list.push(FIELDS[field]);
        }
        if wrong && self.choices.one_in(2) {
            let out = self.choices.below(list.len());
            list.remove(out);
        }
        let stream = self.next;
        self.next += 2;
        let end = if self.choices.one_in(2) { END_STREAM } else { 0 };
        self.headers(stream, &list, end);
    }

    /// A header block in HEADERS, and in CONTINUATION where the choices cut it.
    fn headers(&mut self, stream: u32, list: &[Field], end: u8) {
        let mut block = Vec::new();
        if self.choices.one_in(16) {
            let size = self.choices.number() % 4_097;
            self.encoder.update_max_dynamic_size(size, &mut block).unwrap();
        }
        for (name, value) in list {
            let form = self.choices.byte() % 32;
            let field = (name.as_bytes().to_vec(), value.as_bytes().to_vec(), form);
            self.encoder.encode(field, &mut block).unwrap();
        }
        let mut payload = Vec::new();
        let mut flags = end;
        let padding = self.padding();
        if let Some(padding) = padding {
            flags |= PADDED;
            payload.push(padding);
        }
        if self.choices.one_in(8) {
            flags |= PRIORITY;
            payload.extend([0, 0, 0, self.choices.byte() % 8, 1]);
        }
        let cut = if self.choices.one_in(8) { self.choices.below(block.len().max(1)) } else { 0 };
        let (front, behind) = block.split_at(if cut == 0 { block.len() } else { cut });
        payload.extend_from_slice(front);
        payload.resize(payload.len() + usize::from(padding.unwrap_or(0)), 0);
        if behind.is_empty() {
            return self.write(1, flags | END_HEADERS, stream, &payload);
        }
        self.write(1, flags, stream, &payload);
        let (middle, last) = behind.split_at(behind.len() / 2);
        self.write(9, 0, stream, middle);
        if !self.choices.one_in(8) {
            self.write(9, END_HEADERS, stream, last);
        }
    }

    fn padding(&mut self) -> Option<u8> {
        self.choices.one_in(6).then(|| self.choices.byte() % 40)
    }

    fn data(&mut self) {
        let stream = self.stream();
        let mut flags = if self.choices.one_in(3) { END_STREAM } else { 0 };
        let mut payload = Vec::new();
        let padding = self.padding();
        if let Some(padding) = padding {
            flags |= PADDED;
            payload.push(padding);
        }
        match self.choices.below(8) {
            7 => {
                let unit = if self.choices.one_in(8) { 64 } else { 2 };
                payload.resize(payload.len() + self.choices.below(256) * unit, 7);
            }
            6 => payload.extend_from_slice(b"abc"),
            length => payload.extend_from_slice(self.choices.bytes(length)),
        }
        payload.resize(payload.len() + usize::from(padding.unwrap_or(0)), 0);
        self.write(0, flags, stream, &payload);
    }

    fn settings(&mut self) {
        let mut payload = Vec::new();
        for _ in 0..self.choices.below(4) {
            let value = match self.choices.below(4) {
                0 => 0,
                1 => 1,
                2 => self.choices.number() % 100_000,
                _ => self.choices.number(),
            };
            payload.extend([0, self.choices.byte() % 10]);
            payload.extend(value.to_be_bytes());
        }
        self.write(4, 0, 0, &payload);
    }

    fn ping_flood(&mut self) {
        for _ in 0..self.choices.below(256) {
            self.write(6, 0, 0, &[0; 8]);
        }
    }

    /// A frame without any rule.
    fn any(&mut self) {
        let [kind, flags, stream] = [(); 3].map(|()| self.choices.byte());
        let length = self.choices.below(40);
        let payload = self.choices.bytes(length);
        self.write(kind % 12, flags, u32::from(stream % 12), payload);
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap();
        let length = if self.choices.byte() == 0xff { length ^ 1 } else { length };
        self.bytes.extend(&length.to_be_bytes()[1..]);
        self.bytes.extend([kind, flags]);
        self.bytes.extend(stream.to_be_bytes());
        self.bytes.extend(payload);
    }
}
