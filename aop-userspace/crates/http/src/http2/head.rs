//! Heads and trailers from header fields (RFC 9113, 8.2 and 8.3).
//!
//! The reader takes the fields of a block one by one, keeps the first fault, and stores nothing
//! behind it: the block is decoded to its end all the same, because the compression state depends
//! on it. White space around a field value is removed, as in HTTP/1.1; around a pseudo-header value
//! it is malformed.

mod request;
mod response;

pub(super) use request::check_request;
pub(super) use response::check_response;

use crate::{
    fault::{Fault, Malformed},
    fields::{Field, Fields},
    syntax,
};

/// The overhead that RFC 9113, 6.5.2 adds to the size of each field.
const OVERHEAD: usize = 32;

/// A part of a message that consists of fields.
pub(super) trait Section {
    /// Takes a pseudo-header field.
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed>;
    /// The regular fields.
    fn fields(&mut self) -> &mut Fields;
}

impl Section for Fields {
    /// RFC 9113, 8.1: trailers have none.
    fn pseudo(&mut self, name: &[u8], _: &[u8]) -> Result<(), Malformed> {
        Err(Fault::PseudoField.of(name))
    }

    fn fields(&mut self) -> &mut Fields {
        self
    }
}

/// Reads the fields of one block into a section.
pub(super) struct SectionReader<'s, S> {
    section: &'s mut S,
    order: Order,
    length: Option<u64>,
    size: usize,
    limit: usize,
    fault: Option<Malformed>,
}

/// The kind of the last field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Pseudo,
    Regular,
}

/// The facts about a block besides its fields.
pub(super) struct Outcome {
    /// The size of the list as RFC 9113, 6.5.2 counts it.
    pub(super) size: usize,
    /// Content-Length, or the first fault.
    pub(super) length: Result<Option<u64>, Malformed>,
}

impl<'s, S: Section> SectionReader<'s, S> {
    /// Reads into `section`, which must be empty, a list of at most `limit` bytes.
    pub(super) fn new(section: &'s mut S, limit: usize) -> Self {
        Self { section, order: Order::Pseudo, length: None, size: 0, limit, fault: None }
    }

    /// Takes the next field.
    pub(super) fn field(&mut self, field: Field<'_>) {
        let size = field.name.len() + field.value.len() + OVERHEAD;
        self.size = self.size.saturating_add(size);
        if self.fault.is_some() {
            return;
        }
        let taken = match self.size > self.limit {
            true => Err(Fault::TooLarge.into()),
            false => self.take(field),
        };
        self.fault = taken.err();
    }

    fn take(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        let Field { name, value } = field;
        if name.first() == Some(&b':') {
            if self.order == Order::Regular {
                return Err(Fault::PseudoField.of(name));
            }
            return self.section.pseudo(name, value);
        }
        self.order = Order::Regular;
        // RFC 9113, 8.2.1 forbids space around values. It changes no meaning, so it is removed.
        let value = trim(value);
        if !syntax::is_lower_token(name) {
            return Err(Fault::FieldName.of(name));
        }
        syntax::check_value(value).map_err(|fault| fault.of(name))?;
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => return Err(Fault::ConnectionField.of(name)),
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => {
                return Err(Fault::ConnectionField.of(name));
            }
            b"content-length" => {
                let length = syntax::length(value).map_err(|fault| fault.of(name))?;
                match self.length.replace(length) {
                    None => {}
                    Some(same) if same == length => return Ok(()),
                    Some(_) => return Err(Fault::Length.of(name)),
                }
            }
            _ => {}
        }
        self.section.fields().push(name, value);
        Ok(())
    }

    /// Ends the block.
    pub(super) fn finish(self) -> Outcome {
        let length = match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.length),
        };
        Outcome { size: self.size, length }
    }
}

/// A value without SP and HTAB around it.
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(|byte| !is_space(byte)) else { return &[] };
    let end = value.iter().rposition(|byte| !is_space(byte)).unwrap_or(start);
    &value[start..=end]
}

/// The missing pseudo-header field `name`.
fn missing(name: &[u8]) -> Malformed {
    Fault::PseudoField.of(name)
}
