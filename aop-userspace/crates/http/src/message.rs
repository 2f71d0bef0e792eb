//! The heads of requests and responses, the same for all versions of HTTP.

use crate::fields::Fields;

/// The version in which a message arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

/// The length of a message's body, as its head announces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    Empty,
    /// Content-Length, in bytes. It may be zero.
    Known(u64),
    /// Chunked in HTTP/1.1, until END_STREAM in HTTP/2, or until the connection closes.
    Unknown,
}

/// The head of a request. An empty part is one that the request does not have: no valid request
/// has an empty part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// The version in which it arrived.
    pub version: Version,
    /// The method, a token.
    pub method: Vec<u8>,
    /// The scheme: `:scheme`, or that of a target in absolute form. In lower case.
    pub scheme: Vec<u8>,
    /// `:authority`, or the authority of a target in absolute form; the target of CONNECT.
    pub authority: Vec<u8>,
    /// Path and query: it begins with `/`, or is `*` for OPTIONS. Empty for CONNECT without a path.
    pub path: Vec<u8>,
    /// `:protocol` of an extended CONNECT (RFC 8441).
    pub protocol: Vec<u8>,
    /// The header fields, without Transfer-Encoding. At most one Content-Length is left.
    pub fields: Fields,
    /// The length of the body.
    pub body: BodyLength,
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The version in which it arrived.
    pub version: Version,
    /// The status code, 100 to 999.
    pub status: u16,
    /// The header fields, without Transfer-Encoding. At most one Content-Length is left.
    pub fields: Fields,
    /// The length of the body.
    pub body: BodyLength,
}

impl RequestHead {
    /// Removes all parts, and keeps the memory.
    pub fn clear(&mut self) {
        self.version = Version::default();
        for part in self.parts() {
            part.clear();
        }
        self.fields.clear();
        self.body = BodyLength::Empty;
    }

    /// Gives memory back: each part keeps its content, and at most `to` bytes where it has less.
    pub fn shrink(&mut self, to: usize) {
        for part in self.parts() {
            part.shrink_to(to);
        }
        self.fields.shrink(to);
    }

    /// The parts before the fields.
    fn parts(&mut self) -> [&mut Vec<u8>; 5] {
        let Self { method, scheme, authority, path, protocol, .. } = self;
        [method, scheme, authority, path, protocol]
    }
}

impl ResponseHead {
    /// Removes all parts, and keeps the memory.
    pub fn clear(&mut self) {
        self.version = Version::default();
        self.status = 0;
        self.fields.clear();
        self.body = BodyLength::Empty;
    }

    /// Whether it is interim (1xx): the final response to the same request follows.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_empty_again_and_gives_memory_back() {
        let mut request = RequestHead {
            version: Version::Http2,
            body: BodyLength::Known(1),
            ..RequestHead::default()
        };
        for part in request.parts() {
            part.extend_from_slice(&[b'a'; 1_000]);
        }
        request.fields.push(b"name", b"value");
        request.shrink(2_000);
        assert!(request.parts().iter().all(|part| part.capacity() >= 1_000));
        request.clear();
        assert_eq!(request, RequestHead::default());
        assert!(request.parts().iter().all(|part| part.capacity() >= 1_000));
        request.shrink(10);
        assert!(request.parts().iter().all(|part| part.capacity() <= 10));

        let mut response = ResponseHead {
            version: Version::Http2,
            status: 200,
            body: BodyLength::Unknown,
            ..ResponseHead::default()
        };
        response.fields.push(b"name", b"value");
        response.clear();
        assert_eq!(response, ResponseHead::default());
    }

    #[test]
    fn interim_responses_have_a_status_from_100_to_199() {
        for (status, interim) in [(99, false), (100, true), (199, true), (200, false), (999, false)]
        {
            let head = ResponseHead { status, ..ResponseHead::default() };
            assert_eq!(head.is_interim(), interim, "{status}");
        }
    }
}
