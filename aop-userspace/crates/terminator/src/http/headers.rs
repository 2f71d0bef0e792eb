//! Rewrites the header fields of requests and responses.
//!
//! Only aop tells the upstream about the visitor. So the peer's fields of those names are removed
//! first, in every spelling that an application may read as the same name: servers that pass
//! headers on as environment variables do not distinguish `-` from `_`.

use std::{borrow::Cow, io::Write, net::IpAddr, str};

use aop_config::{ForwardedHeaders, HttpConfig, HttpVersion};
use aop_http::{BodyLength, Fields, RequestHead, ResponseHead, Version};

use super::{denial::Denial, request_host::RequestHost, websocket};

const CF_CONNECTING_IP: &[u8] = b"cf-connecting-ip";
const TRUE_CLIENT_IP: &[u8] = b"true-client-ip";
/// Cloudflare's identifier of a request.
pub(super) const CF_RAY: &[u8] = b"cf-ray";

/// The facts about the peer of a connection.
pub(super) struct PeerFacts<'a> {
    /// Its address, for requests that name no visitor.
    pub(super) address: IpAddr,
    /// The value of `Client-Cert`, if the site forwards it.
    pub(super) certificate: Option<&'a str>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Upgrade {
    #[default]
    None,
    WebSocket,
}

/// Rewrites the peer's head for the upstream.
///
/// # Errors
/// The target has no path, or `Connection` names too many fields.
pub(super) fn rewrite_request(
    request: &mut RequestHead,
    named: &RequestHost,
    peer: &PeerFacts<'_>,
    http: &HttpConfig,
) -> Result<Upgrade, Denial> {
    if request.fields.members(b"connection").nth(MAX_NAMED).is_some() {
        return Err(Denial::BadRequest);
    }
    let upgrade = match http.upstream.version {
        HttpVersion::Http1 => upgrade(request),
        HttpVersion::H2c => Upgrade::None,
    };
    // The only CONNECT that is relayed is that for a WebSocket.
    let connect = request.method == b"CONNECT";
    if connect && upgrade == Upgrade::None {
        return Err(Denial::BadRequest);
    }
    let fields = &mut request.fields;
    let trailers = fields.members(b"te").any(|member| member.eq_ignore_ascii_case(b"trailers"));
    let trusted = peer.visitor_trust == VisitorTrust::Trusted;
    let visitor = visitor(fields).filter(|_| trusted);
    let client = fields.first(TRUE_CLIENT_IP);
    // If Cloudflare sends both, they are equal.
    let same = client.is_some() && client == fields.first(CF_CONNECTING_IP);
    strip(fields, |name| {
        is_unwanted(name)
            || (!trusted && is_edge_only(name))
            || name == b"host"
            || (name == CF_CONNECTING_IP && visitor.is_none())
            || (name == TRUE_CLIENT_IP && !(same && visitor.is_some()))
    });
    // HTTP/1.0 has no interim responses.
    if request.version == Version::Http10 {
        request.fields.remove(b"expect");
    }
    let fields = &mut request.fields;
    if request.version == Version::Http2 {
        join_cookies(fields);
    }
    if trailers {
        fields.push(b"te", b"trailers");
    }
    if upgrade == Upgrade::WebSocket {
        request.body = BodyLength::Empty;
        fields.remove(b"content-length");
        ask_for_websocket(fields);
        if connect {
            fields.set(b"sec-websocket-key", websocket::new_key().as_bytes());
            request.method.clear();
            request.method.extend_from_slice(b"GET");
        }
    }
    let fields = &mut request.fields;
    set_own_fields(fields, visitor, named, peer, http);
    set_target(request, named, http.upstream.version)?;
    Ok(upgrade)
}

/// Removes the hop-by-hop fields of a response.
pub(super) fn rewrite_response(response: &mut ResponseHead, upgrade: Upgrade) {
    strip(&mut response.fields, is_hop_by_hop);
    if upgrade == Upgrade::WebSocket {
        ask_for_websocket(&mut response.fields);
    }
}

/// Removes aop's own fields from trailers, and fields that are valid only in a head (RFC 9110,
/// 6.5.1): some applications read trailers as headers.
pub(super) fn clean_trailers(trailers: &mut Fields) {
    strip(trailers, |name| is_unwanted(name) || defines_message(name) || name == TRUE_CLIENT_IP);
}

/// Removes fields from the trailers of a response that are valid only in a head, or on one
/// connection.
pub(super) fn clean_response_trailers(trailers: &mut Fields) {
    strip(trailers, |name| {
        is_hop_by_hop(name) || name == b"content-length" || name.starts_with(b":")
    });
}

fn ask_for_websocket(fields: &mut Fields) {
    fields.push(b"connection", b"upgrade");
    fields.push(b"upgrade", b"websocket");
}

/// Only WebSocket is tunnelled. With `Upgrade: h2c`, requests would bypass every check here.
fn upgrade(request: &RequestHead) -> Upgrade {
    if request.method == b"CONNECT" {
        // The engine accepts `:protocol` for CONNECT over HTTP/2 alone.
        let websocket = request.protocol.eq_ignore_ascii_case(b"websocket");
        return if websocket { Upgrade::WebSocket } else { Upgrade::None };
    }
    let fields = &request.fields;
    let mut upgrades = fields.all(b"upgrade");
    let websocket = upgrades.next().is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
    let asked = websocket
        && upgrades.next().is_none()
        && request.version == Version::Http11
        && request.method == b"GET"
        && matches!(request.body, BodyLength::Empty | BodyLength::Known(0))
        && fields.members(b"connection").any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    if asked { Upgrade::WebSocket } else { Upgrade::None }
}

/// The visitor's address in CF-Connecting-IP, if exactly one such field names one.
pub(super) fn visitor(fields: &Fields) -> Option<IpAddr> {
    let mut values = fields.all(CF_CONNECTING_IP);
    let value = values.next().filter(|_| values.next().is_none())?;
    str::from_utf8(value).ok()?.parse().ok()
}

/// The members of `Connection`. A request that has more is refused.
const MAX_NAMED: usize = 32;

/// Removes the fields that `unwanted` selects, and those that `Connection` names, except fields
/// that define the message.
fn strip(fields: &mut Fields, unwanted: impl Fn(&[u8]) -> bool) {
    let mut named: Vec<Vec<u8>> = Vec::new();
    for member in fields.members(b"connection") {
        let name = member.to_ascii_lowercase();
        let known = is_hop_by_hop(&name) || defines_message(&name) || name == b"close";
        if !known && !named.contains(&name) && named.len() < MAX_NAMED {
            named.push(name);
        }
    }
    fields.retain(|field| !unwanted(field.name) && !named.iter().any(|name| name == field.name));
}

/// Whether a field defines the message. `Connection` cannot remove such a field: that would turn
/// one request into another.
fn defines_message(name: &[u8]) -> bool {
    matches!(name, b"host" | b"content-length" | b"content-type" | b"cookie" | b"authorization")
        || is_edge_only(name)
}

/// Whether only Cloudflare's edge may set a field: about the visitor, the visitor's connection, or
/// the identity that Access verified.
fn is_edge_only(name: &[u8]) -> bool {
    name.starts_with(b"cf-")
}

fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"http2-settings"
            | b"keep-alive"
            | b"proxy-connection"
            | b"proxy-authenticate"
            | b"proxy-authorization"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
    )
}

/// Whether the upstream must not get a peer's field `name`, in lower case: it is hop-by-hop or
/// aop's own, or an application may read it as such a field or as one that defines the message.
fn is_unwanted(name: &[u8]) -> bool {
    let normalized = normalized(name);
    // Cloudflare never sends these with another spelling.
    is_hop_by_hop(&normalized)
        || is_own(&normalized)
        || (*normalized != *name
            && (defines_message(&normalized) || *normalized == *TRUE_CLIENT_IP))
}

/// Whether aop sends a field of this name to the upstream, or applications expect a terminator to
/// send it.
fn is_own(name: &[u8]) -> bool {
    matches!(
        name,
        b"client-cert"
            | b"client-cert-chain"
            | b"forwarded"
            | b"proxy"
            | b"x-client-ip"
            | b"x-cluster-client-ip"
            | b"x-forwarded"
            | b"x-real-ip"
    ) || name.starts_with(b"x-forwarded-")
        || name.starts_with(b"x-ssl-")
}

/// `name` as servers read it that pass headers on as environment variables: they do not distinguish
/// characters other than letters and digits.
fn normalized(name: &[u8]) -> Cow<'_, [u8]> {
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match name.iter().all(|byte| is_kept(*byte)) {
        true => Cow::Borrowed(name),
        false => name.iter().map(|byte| if is_kept(*byte) { *byte } else { b'-' }).collect(),
    }
}

/// Sets aop's own fields. The peer's fields of these names are removed already.
fn set_own_fields(
    fields: &mut Fields,
    visitor: Option<IpAddr>,
    named: &RequestHost,
    peer: &PeerFacts<'_>,
    http: &HttpConfig,
) {
    let address = visitor.unwrap_or(peer.address);
    let mut text = Text::default();
    if matches!(http.forwarded, ForwardedHeaders::X | ForwardedHeaders::Both) {
        // The visitor's address in the spelling of the edge.
        let spelled = visitor.is_some().then(|| fields.first(CF_CONNECTING_IP)).flatten();
        let spelled = match spelled {
            Some(spelled) => text.write(format_args!("{}", spelled.escape_ascii())),
            None => text.write(format_args!("{address}")),
        };
        fields.push(b"x-forwarded-for", spelled);
        fields.push(b"x-forwarded-proto", b"https");
        fields.push(b"x-forwarded-host", named.text().as_bytes());
    }
    if matches!(http.forwarded, ForwardedHeaders::Rfc7239 | ForwardedHeaders::Both) {
        // RFC 7239: an IPv6 address has brackets, and values that are no tokens have quotes. The
        // host matched a site, so it contains neither a quote nor a backslash.
        let host = named.text();
        let value = match address {
            IpAddr::V4(address) => {
                text.write(format_args!("for={address};proto=https;host=\"{host}\""))
            }
            IpAddr::V6(address) => {
                text.write(format_args!("for=\"[{address}]\";proto=https;host=\"{host}\""))
            }
        };
        fields.push(b"forwarded", value);
    }
    if let Some(certificate) = peer.certificate {
        fields.push(b"client-cert", certificate.as_bytes());
    }
}

/// A short text that is formatted without an allocation.
struct Text {
    bytes: [u8; 512],
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 512] }
    }
}

impl Text {
    /// The formatted text. Host names and addresses are far shorter than the buffer.
    fn write(&mut self, text: std::fmt::Arguments<'_>) -> &[u8] {
        let mut left = &mut self.bytes[..];
        // A text that does not fit is cut; see above.
        left.write_fmt(text).ok();
        let written = 512 - left.len();
        &self.bytes[..written]
    }
}

/// RFC 9113, 8.2.3: HTTP/2 may split one cookie header into several.
fn join_cookies(fields: &mut Fields) {
    if fields.all(b"cookie").nth(1).is_none() {
        return;
    }
    let cookies: Vec<_> = fields.all(b"cookie").collect();
    let whole = cookies.join(&b"; "[..]);
    fields.set(b"cookie", &whole);
}

/// Sets target and host in the form of the upstream's protocol.
fn set_target(
    request: &mut RequestHead,
    named: &RequestHost,
    version: HttpVersion,
) -> Result<(), Denial> {
    if request.path.is_empty() {
        return Err(Denial::BadRequest);
    }
    match version {
        HttpVersion::Http1 => request.fields.push(b"host", named.text().as_bytes()),
        HttpVersion::H2c => {
            request.scheme.clear();
            request.scheme.extend_from_slice(b"http");
            request.authority.clear();
            request.authority.extend_from_slice(named.text().as_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
