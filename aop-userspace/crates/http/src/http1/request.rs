//! The requests of a connection, on the server's side. Each form that RFC 9112 lets a recipient
//! interpret is a fault.

use super::{
    MessageEvent,
    connection::{Options, Persistence},
    line::Reading,
    reader::{Framing, Head, Reader},
    target,
};
use crate::{
    fault::{Fault, Malformed},
    fields::Fields,
    message::{BodyLength, RequestHead, Version},
    syntax,
};

/// The memory that each part of a request keeps while the connection rests.
const KEPT: usize = 2048;

/// Reads the requests of one connection. After a fault, the connection must end.
#[derive(Debug, Default)]
pub struct RequestReader(Reader<RequestSection>);

#[derive(Debug, Default)]
struct RequestSection {
    request: RequestHead,
    persistence: Persistence,
    expectation: Expectation,
}

/// The field Expect (RFC 9110, 10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expectation {
    #[default]
    None,
    Continue,
}

impl RequestReader {
    /// A reader at the start of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Consumes bytes from the front of `input`. `None`: more input is needed. All of it was
    /// consumed then, and an incomplete line is kept.
    ///
    /// # Errors
    /// The peer's bytes are malformed or ambiguous. The events of the bytes before were given.
    pub fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<MessageEvent<'a>>, Malformed> {
        self.0.next(input)
    }

    /// The head of the current request.
    #[must_use]
    pub fn request(&self) -> &RequestHead {
        &self.0.head().request
    }

    /// The head of the current request. The reader does not need it: it may be exchanged for
    /// another one, whose memory the next request uses.
    pub fn request_mut(&mut self) -> &mut RequestHead {
        &mut self.0.head_mut().request
    }

    /// The trailer fields of the request that ended last. They are kept until the next one begins.
    #[must_use]
    pub fn trailers(&self) -> &Fields {
        self.0.trailers()
    }

    /// Whether no byte of a next request was received. Empty lines do not count.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.0.is_between_messages()
    }

    /// Whether the connection ends after the current request.
    #[must_use]
    pub fn wants_close(&self) -> bool {
        self.0.head().persistence == Persistence::Close
    }

    /// Whether the client may wait for a 100 before it sends the body. False without a body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.0.head().expectation == Expectation::Continue
    }
}

impl Head for RequestSection {
    const READING: Reading = Reading::Strict;

    fn clear(&mut self) {
        self.request.clear();
        self.persistence = Persistence::default();
        self.expectation = Expectation::default();
    }

    fn start_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        target::read_request_line(&mut self.request, line)
    }

    fn fields(&mut self) -> &mut Fields {
        &mut self.request.fields
    }

    fn framing(&mut self) -> Result<Framing, Malformed> {
        let request = &mut self.request;
        let old = request.version == Version::Http10;
        let (mut length, mut chunked, mut continues) = (None, false, false);
        let mut options = Options::default();
        for field in request.fields.iter() {
            match field.name {
                b"content-length" => {
                    let value =
                        syntax::length(field.value).map_err(|fault| fault.of(field.name))?;
                    if length.replace(value).is_some() {
                        return Err(Fault::Length.of(field.name));
                    }
                }
                b"transfer-encoding" => {
                    if chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Fault::Encoding.of(field.name));
                    }
                    if old {
                        return Err(Fault::NotInHttp10.of(field.name));
                    }
                    chunked = true;
                }
                b"upgrade" if old => return Err(Fault::NotInHttp10.of(field.name)),
                b"connection" => options.add(field.value),
                b"expect" => continues |= field.value.eq_ignore_ascii_case(b"100-continue"),
                _ => {}
            }
        }
        let framing = match (chunked, length) {
            (true, Some(_)) => return Err(Fault::LengthAndEncoding.of(b"content-length")),
            (true, None) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Empty,
        };
        if chunked {
            request.fields.remove(b"transfer-encoding");
        }
        request.body = match (chunked, length) {
            (true, _) => BodyLength::Unknown,
            (false, Some(length)) => BodyLength::Known(length),
            (false, None) => BodyLength::Empty,
        };
        self.persistence = options.persistence(request.version);
        // RFC 9110, 10.1.1: HTTP/1.0 has no interim responses.
        if continues && !old && !matches!(framing, Framing::Empty | Framing::Length(0)) {
            self.expectation = Expectation::Continue;
        }
        Ok(framing)
    }

    fn shrink(&mut self) {
        self.request.clear();
        self.request.shrink(KEPT);
    }
}
