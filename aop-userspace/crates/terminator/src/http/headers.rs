//! Rewrites the header fields of requests and responses.
//!
//! Only aop tells the upstream about the visitor. So the peer's fields of those names are removed
//! first, in every spelling that an application may read as the same name: servers that pass
//! headers on as environment variables do not distinguish `-` from `_`.

use std::{borrow::Cow, net::IpAddr};

use aop_config::{ForwardedHeaders, HttpConfig, HttpVersion};
use hyper::{
    HeaderMap, Uri, Version,
    body::Body,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
    http::{HeaderValue, request::Parts},
};

use super::{denial::Denial, request_body::RequestBody, request_host::RequestHost};

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CF_CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");
const TRUE_CLIENT_IP: HeaderName = HeaderName::from_static("true-client-ip");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Cloudflare's identifier of a request.
pub(super) const CF_RAY: HeaderName = HeaderName::from_static("cf-ray");

/// The facts about the peer of a connection.
pub(super) struct PeerFacts<'a> {
    /// Its address, for requests that name no visitor.
    pub(super) address: IpAddr,
    /// The value of `Client-Cert`, if the site forwards it.
    pub(super) certificate: Option<&'a HeaderValue>,
    pub(super) visitor_trust: VisitorTrust,
}

/// Whether the visitor that a peer's request names is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VisitorTrust {
    Trusted,
    /// The peer may be anybody: it counts as the visitor itself, and fields that only the edge may
    /// set are removed.
    Untrusted,
}

/// Whether a request asks for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    None,
    WebSocket,
}

/// Marks the end of `body` in a head that [`rewrite_request`] has rewritten.
pub(super) fn set_framing(head: &mut Parts, body: &RequestBody) {
    // By default hyper takes a GET without a length for a GET without a body.
    if head.version == Version::HTTP_11
        && !body.is_end_stream()
        && !head.headers.contains_key(CONTENT_LENGTH)
    {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Rewrites the peer's head for the upstream.
///
/// # Errors
/// The target has no path.
pub(super) fn rewrite_request(
    head: &mut Parts,
    named: &RequestHost,
    peer: &PeerFacts<'_>,
    http: &HttpConfig,
) -> Result<Upgrade, Denial> {
    let upgrade = match http.upstream.version {
        HttpVersion::Http1 => upgrade(head),
        HttpVersion::H2c => Upgrade::None,
    };
    let trailers = takes_trailers(&head.headers);
    let trusted = peer.visitor_trust == VisitorTrust::Trusted;
    let visitor = visitor(&head.headers).filter(|_| trusted);
    strip(&mut head.headers, |name| is_unwanted(name) || (!trusted && is_edge_only(name)));
    head.headers.remove(EXPECT);
    if visitor.is_none() {
        head.headers.remove(CF_CONNECTING_IP);
    }
    // If Cloudflare sends both, they are equal.
    if head.headers.get(TRUE_CLIENT_IP) != visitor.as_ref().map(|(_, text)| text) {
        head.headers.remove(TRUE_CLIENT_IP);
    }
    if head.version == Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    if trailers {
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if upgrade == Upgrade::WebSocket {
        ask_for_websocket(&mut head.headers);
    }
    set_own_fields(&mut head.headers, visitor, named, peer, http);
    set_target(head, named, http.upstream.version)?;
    Ok(upgrade)
}

/// Removes the hop-by-hop fields of a response.
pub(super) fn rewrite_response(headers: &mut HeaderMap, upgrade: Upgrade) {
    // RFC 9112, 6.3: Transfer-Encoding overrides Content-Length, which is removed.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    strip(headers, is_hop_by_hop);
    if upgrade == Upgrade::WebSocket {
        ask_for_websocket(headers);
    }
}

/// Removes aop's own fields from trailers, and fields that are valid only in a head (RFC 9110,
/// 6.5.1): some applications read trailers as headers.
pub(super) fn clean_trailers(trailers: &mut HeaderMap) {
    strip(trailers, |name| is_unwanted(name) || defines_message(name) || name == TRUE_CLIENT_IP);
}

fn ask_for_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Only WebSocket is tunnelled. With `Upgrade: h2c`, requests would bypass every check here.
fn upgrade(head: &Parts) -> Upgrade {
    let mut upgrades = head.headers.get_all(UPGRADE).iter();
    let websocket = upgrades
        .next()
        .is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let asked = websocket
        && upgrades.next().is_none()
        && head.version == Version::HTTP_11
        && head.method == hyper::Method::GET
        && !head.headers.contains_key(CONTENT_LENGTH)
        && !head.headers.contains_key(TRANSFER_ENCODING)
        && tokens(&head.headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    if asked { Upgrade::WebSocket } else { Upgrade::None }
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.contains_key(TE)
        && tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

/// The visitor's address in CF-Connecting-IP, if exactly one such field names one.
pub(super) fn visitor(headers: &HeaderMap) -> Option<(IpAddr, HeaderValue)> {
    let mut values = headers.get_all(CF_CONNECTING_IP).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    Some((value.to_str().ok()?.parse().ok()?, value.clone()))
}

/// Removes the fields that `unwanted` selects, and those that `Connection` names, except fields
/// that define the message.
fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let mut removed: Vec<HeaderName> = Vec::new();
    for token in tokens(headers, &CONNECTION) {
        if let Ok(name) = token.parse::<HeaderName>()
            && !defines_message(name.as_str())
        {
            removed.push(name);
        }
    }
    removed.extend(headers.keys().filter(|name| unwanted(name.as_str())).cloned());
    for name in removed {
        headers.remove(name);
    }
}

/// Whether a field defines the message. `Connection` cannot remove such a field: that would turn
/// one request into another.
fn defines_message(name: &str) -> bool {
    ["host", "content-length", "content-type", "cookie", "authorization"].contains(&name)
        || is_edge_only(name)
}

/// Whether only Cloudflare's edge may set a field: about the visitor, the visitor's connection, or
/// the identity that Access verified.
fn is_edge_only(name: &str) -> bool {
    name.starts_with("cf-")
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether the upstream must not get a peer's field `name`, in lower case: it is hop-by-hop or
/// aop's own, or an application may read it as such a field or as one that defines the message.
fn is_unwanted(name: &str) -> bool {
    let normalized = normalized(name);
    // Cloudflare never sends these with another spelling.
    is_hop_by_hop(&normalized)
        || is_own(&normalized)
        || (normalized != name
            && (defines_message(&normalized) || normalized == TRUE_CLIENT_IP.as_str()))
}

/// Whether aop sends a field of this name to the upstream, or applications expect a terminator to
/// send it.
fn is_own(name: &str) -> bool {
    matches!(
        name,
        "client-cert"
            | "client-cert-chain"
            | "forwarded"
            | "proxy"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-forwarded"
            | "x-real-ip"
    ) || name.starts_with("x-forwarded-")
        || name.starts_with("x-ssl-")
}

/// `name` as servers read it that pass headers on as environment variables: they do not distinguish
/// characters other than letters and digits.
fn normalized(name: &str) -> Cow<'_, str> {
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match name.bytes().all(is_kept) {
        true => Cow::Borrowed(name),
        false => name.bytes().map(|byte| if is_kept(byte) { byte.into() } else { '-' }).collect(),
    }
}

/// Sets aop's own fields.
fn set_own_fields(
    headers: &mut HeaderMap,
    visitor: Option<(IpAddr, HeaderValue)>,
    named: &RequestHost,
    peer: &PeerFacts<'_>,
    http: &HttpConfig,
) {
    let (address, text) = match visitor {
        Some((address, text)) => (address, Some(text)),
        None => (peer.address, HeaderValue::from_str(&peer.address.to_string()).ok()),
    };
    if matches!(http.forwarded, ForwardedHeaders::X | ForwardedHeaders::Both) {
        text.and_then(|text| headers.insert(FORWARDED_FOR, text));
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        headers.insert(FORWARDED_HOST, named.0.clone());
    }
    if matches!(http.forwarded, ForwardedHeaders::Rfc7239 | ForwardedHeaders::Both) {
        forwarded(address, named).and_then(|value| headers.insert(FORWARDED, value));
    }
    peer.certificate.and_then(|value| headers.insert(CLIENT_CERT, value.clone()));
}

/// The value of `Forwarded` (RFC 7239): an IPv6 address has brackets, and values that are no
/// tokens have quotes. The host matched a site, so it contains neither a quote nor a backslash.
fn forwarded(visitor: IpAddr, named: &RequestHost) -> Option<HeaderValue> {
    let host = named.0.to_str().ok()?;
    let visitor = match visitor {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    HeaderValue::from_str(&format!("for={visitor};proto=https;host=\"{host}\"")).ok()
}

/// RFC 9113, 8.2.3: HTTP/2 may split one cookie header into several.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return };
    let mut whole = [first, second].join(&b"; "[..]);
    for cookie in cookies {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(cookie);
    }
    if let Ok(whole) = HeaderValue::from_maybe_shared(whole) {
        headers.insert(COOKIE, whole);
    }
}

/// Sets target and host in the form of the upstream's protocol.
fn set_target(head: &mut Parts, named: &RequestHost, version: HttpVersion) -> Result<(), Denial> {
    let bad = |_| Denial::BadRequest;
    match version {
        HttpVersion::Http1 => {
            if head.uri.authority().is_some() {
                let target = head.uri.path_and_query().cloned().ok_or(Denial::BadRequest)?;
                head.uri = Uri::from(target);
            }
            if head.version == Version::HTTP_2 && !head.headers.contains_key(HOST) {
                head.headers.insert(HOST, named.0.clone());
            }
            head.version = Version::HTTP_11;
        }
        HttpVersion::H2c => {
            let authority = named.0.to_str().map_err(|_| Denial::BadHost)?;
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
            head.uri = Uri::builder()
                .scheme("http")
                .authority(authority)
                .path_and_query(target)
                .build()
                .map_err(bad)?;
            head.headers.remove(HOST);
            head.version = Version::HTTP_2;
        }
    }
    Ok(())
}

/// The members of a comma-separated header.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
