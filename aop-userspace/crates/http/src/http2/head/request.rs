//! The head of a request (RFC 9113, 8.3.1 and 8.5; RFC 8441, 4).

use super::{Section, missing};
use crate::{
    fault::{Fault, Malformed},
    fields::Fields,
    http2::ExtendedConnect,
    message::{BodyLength, RequestHead, Version},
    syntax,
};

/// The rule for the value of one part.
type Check = fn(&[u8]) -> Result<(), Fault>;

impl Section for RequestHead {
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let (part, check): (_, Check) = match name {
            b":method" => (&mut self.method, check_method),
            b":scheme" => (&mut self.scheme, check_scheme),
            b":authority" => (&mut self.authority, check_authority),
            b":path" => (&mut self.path, check_target),
            b":protocol" => (&mut self.protocol, check_protocol),
            _ => return Err(Fault::PseudoField.of(name)),
        };
        // No valid part is empty, so this one was there before.
        if !part.is_empty() {
            return Err(Fault::PseudoField.of(name));
        }
        check(value).map_err(|fault| fault.of(name))?;
        part.extend_from_slice(value);
        Ok(())
    }

    fn fields(&mut self) -> &mut Fields {
        &mut self.fields
    }
}

/// Checks the parts of a request against each other. `length` is its Content-Length, `end` says
/// that it has no body.
pub(in crate::http2) fn check_request(
    request: &mut RequestHead,
    length: Option<u64>,
    end: bool,
    extended: ExtendedConnect,
) -> Result<(), Malformed> {
    request.version = Version::Http2;
    if request.method.is_empty() {
        return Err(missing(b":method"));
    }
    let connect = request.method == b"CONNECT";
    let may_extend = connect && extended == ExtendedConnect::Accepted;
    if !request.protocol.is_empty() && !may_extend {
        return Err(Fault::PseudoField.of(b":protocol"));
    }
    if connect && request.authority.is_empty() {
        return Err(missing(b":authority"));
    }
    // RFC 9113, 8.5: CONNECT has neither scheme nor path. RFC 8441, 4: the extended one has both.
    let plain_connect = connect && request.protocol.is_empty();
    for (name, part) in [(&b":scheme"[..], &request.scheme), (b":path", &request.path)] {
        if part.is_empty() != plain_connect {
            return Err(Fault::PseudoField.of(name));
        }
    }
    if request.path == b"*" && request.method != b"OPTIONS" {
        return Err(Fault::Target.of(b":path"));
    }
    // A fragment is no part of a target.
    if let Some(fragment) = request.path.iter().position(|byte| *byte == b'#') {
        request.path.truncate(fragment);
    }
    request.scheme.make_ascii_lowercase();
    request.body = match (length, end) {
        (Some(0), _) => BodyLength::Known(0),
        (Some(_), true) => return Err(Fault::BodyLength.of(b"content-length")),
        (Some(length), false) => BodyLength::Known(length),
        (None, true) => BodyLength::Empty,
        (None, false) => BodyLength::Unknown,
    };
    Ok(())
}

/// A token. `PRI` begins a connection and no request (RFC 9113, 11.6).
fn check_method(method: &[u8]) -> Result<(), Fault> {
    match syntax::is_token(method) && method != b"PRI" {
        true => Ok(()),
        false => Err(Fault::Method),
    }
}

fn check_scheme(scheme: &[u8]) -> Result<(), Fault> {
    let known = [&b"http"[..], b"https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if known { Ok(()) } else { Err(Fault::Target) }
}

/// RFC 9113, 8.3.1: there is no userinfo. Whether the host is one of a site is for the caller.
fn check_authority(authority: &[u8]) -> Result<(), Fault> {
    let valid = |byte: &u8| byte.is_ascii_graphic() && !b"@/?#\\".contains(byte);
    match !authority.is_empty() && authority.iter().all(valid) {
        true => Ok(()),
        false => Err(Fault::Target),
    }
}

fn check_target(path: &[u8]) -> Result<(), Fault> {
    if path == b"*" { Ok(()) } else { syntax::check_path(path) }
}

fn check_protocol(protocol: &[u8]) -> Result<(), Fault> {
    if syntax::is_token(protocol) { Ok(()) } else { Err(Fault::PseudoField) }
}
