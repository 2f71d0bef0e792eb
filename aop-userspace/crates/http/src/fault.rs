//! Why a message is refused.

use std::fmt;

/// The rule that a message breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A line ends in LF without CR, or a CR is followed by something else.
    BareLineEnd,
    /// NUL, or another control character.
    ControlCharacter,
    /// A field continues on the next line (obs-fold).
    FoldedLine,
    /// A field's name is empty or no token, or upper case in HTTP/2; or there is no colon.
    FieldName,
    /// The request line is not method, target and version; the status line is no status line.
    StartLine,
    /// The method is no token.
    Method,
    /// The target has a character that no target has, or a form that its method does not have.
    Target,
    /// Content-Length is no number, or has two values.
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
    /// A pseudo-header field is missing, repeated, unknown, after a regular field or in trailers.
    PseudoField,
    /// A field that only one HTTP/1.1 connection understands, in HTTP/2.
    ConnectionField,
    /// The body is shorter or longer than Content-Length.
    BodyLength,
}

/// A message that is refused: the rule, and the name of the field at fault where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The rule.
    pub fault: Fault,
    /// The field at fault, as it was received.
    pub field: Option<Box<[u8]>>,
}

impl Fault {
    /// The explanation for the peer.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::BareLineEnd => "a line does not end in CR LF",
            Self::ControlCharacter => "the head contains a control character",
            Self::FoldedLine => "a header is folded over two lines",
            Self::FieldName => "a header has no valid name",
            Self::StartLine => "the first line is malformed",
            Self::Method => "the method is malformed",
            Self::Target => "the target is malformed",
            Self::Length => "Content-Length is malformed or repeated",
            Self::Encoding => "Transfer-Encoding must be chunked alone",
            Self::LengthAndEncoding => "Content-Length and Transfer-Encoding exclude each other",
            Self::NotInHttp10 => "HTTP/1.0 has neither Transfer-Encoding nor Upgrade",
            Self::Chunk => "a chunk is malformed",
            Self::TooLarge => "the head is too large",
            Self::PseudoField => "a pseudo-header field is missing, repeated or misplaced",
            Self::ConnectionField => "a header is not allowed in HTTP/2",
            Self::BodyLength => "the body has another length than Content-Length",
        }
    }

    /// This fault, of the field `name`.
    #[must_use]
    pub fn of(self, name: &[u8]) -> Malformed {
        Malformed { fault: self, field: Some(name.into()) }
    }
}

impl From<Fault> for Malformed {
    fn from(fault: Fault) -> Self {
        Self { fault, field: None }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fault.text())?;
        match &self.field {
            Some(name) => write!(f, ": {}", name.escape_ascii()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_a_text_of_its_own_and_names_the_field() {
        let all = [
            Fault::BareLineEnd,
            Fault::ControlCharacter,
            Fault::FoldedLine,
            Fault::FieldName,
            Fault::StartLine,
            Fault::Method,
            Fault::Target,
            Fault::Length,
            Fault::Encoding,
            Fault::LengthAndEncoding,
            Fault::NotInHttp10,
            Fault::Chunk,
            Fault::TooLarge,
            Fault::PseudoField,
            Fault::ConnectionField,
            Fault::BodyLength,
        ];
        let mut texts = all.map(Fault::text).to_vec();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), all.len());
        assert!(texts.iter().all(|text| text.contains(' ')));
        let malformed = Malformed::from(Fault::Chunk);
        assert_eq!(malformed.to_string(), "a chunk is malformed");
        let malformed = Fault::FieldName.of(b"a\x00");
        assert_eq!(malformed.to_string(), "a header has no valid name: a\\x00");
    }
}
