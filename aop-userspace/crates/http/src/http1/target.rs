//! The request line and the form of its target (RFC 9112, 3).

use crate::{
    fault::Fault,
    message::{RequestHead, Version},
    syntax,
};

/// Reads `method SP target SP version` into `request`.
pub(super) fn read_request_line(request: &mut RequestHead, line: &[u8]) -> Result<(), Fault> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method @ [_, ..]), Some(target @ [_, ..]), Some(version), None) => {
            (method, target, version)
        }
        _ => return Err(Fault::StartLine),
    };
    request.version = read_version(version)?;
    if !syntax::is_token(method) {
        return Err(Fault::Method);
    }
    request.method.extend_from_slice(method);
    read_target(request, target)
}

/// HTTP/1.0 or HTTP/1.1.
pub(super) fn read_version(text: &[u8]) -> Result<Version, Fault> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(Fault::StartLine),
    }
}

fn read_target(request: &mut RequestHead, target: &[u8]) -> Result<(), Fault> {
    // The only such character that a line may have; the rest of the checks do not see a fragment.
    if target.contains(&b'\t') {
        return Err(Fault::Target);
    }
    if request.method == b"CONNECT" {
        return read_authority(request, target, Port::Required);
    }
    if target == b"*" {
        request.path.push(b'*');
        return if request.method == b"OPTIONS" { Ok(()) } else { Err(Fault::Target) };
    }
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    if target.first() == Some(&b'/') {
        syntax::check_path(target)?;
        request.path.extend_from_slice(target);
        return Ok(());
    }
    let (scheme, rest) = [&b"http"[..], b"https"]
        .into_iter()
        .find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            let rest = rest.strip_prefix(b"://")?;
            start.eq_ignore_ascii_case(scheme).then_some((scheme, rest))
        })
        .ok_or(Fault::Target)?;
    request.scheme.extend_from_slice(scheme);
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    read_authority(request, authority, Port::Optional)?;
    if path.first() != Some(&b'/') {
        request.path.push(b'/');
    }
    request.path.extend_from_slice(path);
    syntax::check_path(&request.path)
}

/// Whether an authority must name its port: that of CONNECT must (RFC 9112, 3.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Required,
    Optional,
}

fn read_authority(request: &mut RequestHead, authority: &[u8], port: Port) -> Result<(), Fault> {
    syntax::check_authority(authority)?;
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = &authority[..authority.len() - digits];
    let named = digits > 0 && before.last() == Some(&b':');
    // RFC 9110, 4.2.1: an empty host is invalid.
    if authority[0] == b':' || (port == Port::Required && !named) {
        return Err(Fault::Target);
    }
    request.authority.extend_from_slice(authority);
    Ok(())
}
