//! The settings for relaying HTTP requests: `[site.http]`.

use std::time::Duration;

use aop_common::Mode;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{
    ConfigError, HostPattern, HttpUpstream, HttpVersion, ProxyProtocol, Upstream,
    parse::{SourceFile, duration},
    toml_schema::{RawHttp, RawSite},
    value::config_values,
};

/// The settings of a site that relays requests, not bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// The upstream.
    pub upstream: HttpUpstream,
    /// Hosts that requests may name in addition to the hosts of the site.
    pub also_hosts: Vec<HostPattern>,
    /// The headers that name the visitor.
    pub forwarded: ForwardedHeaders,
    /// Whether the upstream gets the edge's certificate.
    pub client_cert: ClientCertForwarding,
    /// The case of header names towards an HTTP/1.1 upstream.
    pub header_names: HeaderNames,
    /// The response timeout: how long the upstream may take until its answer begins.
    pub answer: Duration,
    /// The idle timeout: how long the edge's connection may stay open without a request.
    pub idle: Duration,
    /// The progress timeout: how long a request may go without a byte in either direction.
    pub stall: Duration,
    /// The number of concurrent requests to the upstream.
    pub requests: usize,
    /// The number of concurrent tunnels (WebSocket) and event streams to the upstream. They last
    /// long, so they do not count as requests.
    pub tunnels: usize,
}

/// The headers that name the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    X,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
    /// All of these headers.
    Both,
}

/// The case of header names. Names have no case (RFC 9110, 5.1), but old applications compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderNames {
    /// `content-type`.
    Lower,
    /// `Content-Type`.
    Title,
}

/// Whether the upstream gets the edge's certificate, in `Client-Cert` (RFC 9440) or in the PROXY
/// header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertForwarding {
    /// The upstream does not get it.
    Withheld,
    /// The upstream gets the certificate that the edge authenticated with.
    Shown,
}

/// The treatment of a peer without the right certificate. Its serde form is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRefusal {
    /// Its handshake fails with an alert.
    Close,
    /// Its handshake succeeds, and aop answers every request with the reason for the refusal.
    Explain,
    /// It is relayed and counted.
    Observe,
}

impl OnRefusal {
    /// The value under the mode override `own` of the site.
    #[must_use]
    pub fn under(self, own: Option<Mode>) -> Self {
        match (own, self) {
            (Some(Mode::Observe), _) => Self::Observe,
            (Some(Mode::Enforce), Self::Observe) => Self::Close,
            (Some(Mode::Enforce) | None, configured) => configured,
        }
    }

    /// The value in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Explain => "explain",
            Self::Observe => "observe",
        }
    }
}

impl HttpConfig {
    /// The defaults. The response timeout exceeds the 100 s that Cloudflare waits; the idle and the
    /// progress timeout exceed the 900 s after which Cloudflare closes a connection.
    #[must_use]
    pub fn new(upstream: HttpUpstream) -> Self {
        Self {
            upstream,
            also_hosts: Vec::new(),
            forwarded: ForwardedHeaders::X,
            client_cert: ClientCertForwarding::Withheld,
            header_names: HeaderNames::Lower,
            answer: Duration::from_secs(125),
            idle: Duration::from_secs(930),
            stall: Duration::from_secs(930),
            requests: 1000,
            tunnels: 10_000,
        }
    }
}

/// Reads the upstream of a site and its `[site.http]`.
pub(crate) fn upstream(
    site: &RawSite,
    proxy: ProxyProtocol,
    src: &SourceFile<'_>,
) -> Result<Upstream, ConfigError> {
    let mut upstream = src.parse(&site.upstream)?;
    match (&mut upstream, &site.http) {
        (Upstream::Http(http), raw) => {
            if proxy != ProxyProtocol::Off && http.upstream.version == HttpVersion::H2c {
                let message = "requests of many visitors share the connection to an h2c upstream, \
                               so a PROXY header cannot name the visitor; X-Forwarded-For does. \
                               Remove proxy, or write http://";
                return Err(src.error(site.upstream.span(), message));
            }
            if let Some(raw) = raw {
                apply(http, raw.get_ref(), src)?;
            }
        }
        (Upstream::Bytes(_), Some(raw)) => {
            let message = "[site.http] needs an upstream that takes requests: write it as \
                           http:// or h2c://, or remove the table";
            return Err(src.error(raw.span(), message));
        }
        (Upstream::Bytes(_), None) => {}
    }
    Ok(upstream)
}

/// Reads `on_refusal`. `explain` needs an upstream that takes requests, since the reason is sent in
/// HTTP.
pub(crate) fn on_refusal(
    site: &RawSite,
    upstream: &Upstream,
    src: &SourceFile<'_>,
) -> Result<OnRefusal, ConfigError> {
    let Some(raw) = &site.on_refusal else { return Ok(OnRefusal::Close) };
    match (src.parse(raw)?, upstream) {
        (OnRefusal::Explain, Upstream::Bytes(_)) => {
            let message = "\"explain\" needs HTTP, and this upstream takes bytes: write the \
                           upstream as http:// or h2c://, or remove on_refusal";
            Err(src.error(raw.span(), message))
        }
        (on_refusal, _) => Ok(on_refusal),
    }
}

/// Overwrites the defaults in `http` by what the table sets.
fn apply(http: &mut HttpConfig, raw: &RawHttp, src: &SourceFile<'_>) -> Result<(), ConfigError> {
    for host in &raw.also_hosts {
        http.also_hosts.push(src.parse(host)?);
    }
    if let Some(forwarded) = &raw.forwarded {
        http.forwarded = src.parse(forwarded)?;
    }
    if raw.client_cert {
        http.client_cert = ClientCertForwarding::Shown;
    }
    if let Some(case) = &raw.header_names {
        http.header_names = src.parse(case)?;
    }
    http.answer = timeout("answer", raw.answer.as_ref(), http.answer, src)?;
    http.idle = timeout("idle", raw.idle.as_ref(), http.idle, src)?;
    http.stall = timeout("stall", raw.stall.as_ref(), http.stall, src)?;
    http.requests = bound("requests", raw.requests.as_ref(), http.requests, src)?;
    http.tunnels = bound("tunnels", raw.tunnels.as_ref(), http.tunnels, src)?;
    Ok(())
}

/// A bound on what may be open at the upstream.
fn bound(
    key: &str,
    raw: Option<&Spanned<usize>>,
    default: usize,
    src: &SourceFile<'_>,
) -> Result<usize, ConfigError> {
    match raw {
        None => Ok(default),
        Some(raw) if (1..=100_000).contains(raw.get_ref()) => Ok(*raw.get_ref()),
        Some(raw) => Err(src.error(raw.span(), format!("site.http.{key} must be 1 to 100000"))),
    }
}

/// A timeout of at least one second.
fn timeout(
    key: &str,
    raw: Option<&Spanned<String>>,
    default: Duration,
    src: &SourceFile<'_>,
) -> Result<Duration, ConfigError> {
    let Some(raw) = raw else { return Ok(default) };
    match duration(Some(raw), "", src)? {
        short if short < Duration::from_secs(1) => {
            Err(src.error(raw.span(), format!("site.http.{key} must be at least 1s")))
        }
        duration => Ok(duration),
    }
}

config_values!(ForwardedHeaders, "forwarded",
    "x" => Self::X, "rfc7239" => Self::Rfc7239, "both" => Self::Both);
config_values!(HeaderNames, "header_names", "lower" => Self::Lower, "title" => Self::Title);
config_values!(OnRefusal, "on_refusal",
    "close" => Self::Close, "explain" => Self::Explain, "observe" => Self::Observe);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_treatment_of_refused_peers_is_read_by_its_own_name() {
        for (name, value) in [
            ("close", OnRefusal::Close),
            ("explain", OnRefusal::Explain),
            ("observe", OnRefusal::Observe),
        ] {
            assert_eq!(name.parse(), Ok(value));
            assert_eq!(value.name(), name);
        }
    }

    #[test]
    fn a_mode_override_decides_whether_a_site_observes() {
        use OnRefusal::{Close, Explain, Observe};
        for (configured, enforced) in [(Close, Close), (Explain, Explain), (Observe, Close)] {
            assert_eq!(configured.under(None), configured);
            assert_eq!(configured.under(Some(Mode::Observe)), Observe);
            assert_eq!(configured.under(Some(Mode::Enforce)), enforced);
        }
    }
}
