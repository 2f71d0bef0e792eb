//! The head of a response (RFC 9113, 8.3.2), and the length of its body (RFC 9110, 6.4.1 and 8.6).

use super::{Section, missing};
use crate::{
    fault::{Fault, Malformed},
    fields::Fields,
    http2::streams::Method,
    message::{BodyLength, ResponseHead, Version},
};

impl Section for ResponseHead {
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if name != b":status" || self.status != 0 {
            return Err(Fault::PseudoField.of(name));
        }
        self.status = match *value {
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
                value.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
            }
            _ => return Err(Fault::PseudoField.of(name)),
        };
        Ok(())
    }

    fn fields(&mut self) -> &mut Fields {
        &mut self.fields
    }
}

/// Checks a response to a request with this `method`. `length` is its Content-Length, `end` says
/// that it has no body. Returns the bytes that the body must have, if they are known.
pub(in crate::http2) fn check_response(
    response: &mut ResponseHead,
    length: Option<u64>,
    end: bool,
    method: Method,
) -> Result<Option<u64>, Malformed> {
    response.version = Version::Http2;
    // RFC 9113, 8.6: there is no 101. 8.1: an interim response does not end the stream.
    if response.status == 0 || response.status == 101 || response.is_interim() && end {
        return Err(missing(b":status"));
    }
    let connected = method == Method::Connect && (200..300).contains(&response.status);
    // RFC 9110, 8.6: these have no Content-Length, and a client ignores one.
    let no_length = response.is_interim() || response.status == 204 || connected;
    if no_length && length.is_some() {
        response.fields.remove(b"content-length");
    }
    let no_body =
        response.is_interim() || matches!(response.status, 204 | 304) || method == Method::Head;
    response.body = match length {
        _ if no_body => BodyLength::Empty,
        _ if connected && end => BodyLength::Empty,
        _ if connected => BodyLength::Unknown,
        Some(0) => BodyLength::Known(0),
        Some(_) if end => return Err(Fault::BodyLength.of(b"content-length")),
        Some(length) => BodyLength::Known(length),
        None if end => BodyLength::Empty,
        None => BodyLength::Unknown,
    };
    Ok(match response.body {
        BodyLength::Empty => Some(0),
        BodyLength::Known(length) => Some(length),
        BodyLength::Unknown => None,
    })
}
