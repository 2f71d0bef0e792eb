//! The settings for relaying HTTP requests: `[site.http]`.

use std::{str::FromStr, time::Duration};

use aop_common::Mode;
use toml::Spanned;

use super::{
    ConfigError, HostPattern, HttpUpstream, HttpVersion, ProxyProtocol, Upstream,
    raw::{RawHttp, RawSite},
    read::{SourceFile, duration},
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
    /// The response timeout: how long the upstream may take until its answer begins.
    pub answer: Duration,
    /// The idle timeout: how long the edge's connection may stay open without a request.
    pub idle: Duration,
    /// The progress timeout: how long a request may go without a byte in either direction.
    pub stall: Duration,
    /// The number of concurrent requests to the upstream.
    pub requests: usize,
}

/// The headers that name the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// `X-ForwardedHeaders-For`, `-Proto` and `-Host`.
    X,
    /// `ForwardedHeaders` (RFC 7239).
    Rfc7239,
    /// All of these headers.
    Both,
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

/// The treatment of a peer without the right certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            answer: Duration::from_secs(125),
            idle: Duration::from_secs(930),
            stall: Duration::from_secs(930),
            requests: 1000,
        }
    }
}

/// Reads the upstream of a site and its `[site.http]`.
pub(super) fn upstream(
    site: &RawSite,
    proxy: ProxyProtocol,
    place: &SourceFile<'_>,
) -> Result<Upstream, ConfigError> {
    let mut upstream = place.parse(&site.upstream)?;
    match (&mut upstream, &site.http) {
        (Upstream::Http(http), raw) => {
            if proxy != ProxyProtocol::Off && http.upstream.version == HttpVersion::H2c {
                let message = "requests of many visitors share the connection to an h2c upstream, \
                               so a PROXY header cannot name the visitor; X-Forwarded-For does. \
                               Remove proxy, or write http://";
                return Err(place.error(site.upstream.span(), message));
            }
            if let Some(raw) = raw {
                fill(http, raw.get_ref(), place)?;
            }
        }
        (Upstream::Bytes(_), Some(raw)) => {
            let message = "[site.http] needs an upstream that takes requests: write it as \
                           http:// or h2c://, or remove the table";
            return Err(place.error(raw.span(), message));
        }
        (Upstream::Bytes(_), None) => {}
    }
    Ok(upstream)
}

/// Reads `on_refusal`. `explain` needs an upstream that takes requests, since the reason is sent in
/// HTTP.
pub(super) fn on_refusal(
    site: &RawSite,
    upstream: &Upstream,
    place: &SourceFile<'_>,
) -> Result<OnRefusal, ConfigError> {
    let Some(raw) = &site.on_refusal else { return Ok(OnRefusal::Close) };
    match (place.parse(raw)?, upstream) {
        (OnRefusal::Explain, Upstream::Bytes(_)) => {
            let message = "\"explain\" needs HTTP, and this upstream takes bytes: write the \
                           upstream as http:// or h2c://, or remove on_refusal";
            Err(place.error(raw.span(), message))
        }
        (on_refusal, _) => Ok(on_refusal),
    }
}

fn fill(http: &mut HttpConfig, raw: &RawHttp, place: &SourceFile<'_>) -> Result<(), ConfigError> {
    for host in &raw.also_hosts {
        http.also_hosts.push(place.parse(host)?);
    }
    if let Some(forwarded) = &raw.forwarded {
        http.forwarded = place.parse(forwarded)?;
    }
    if raw.client_cert {
        http.client_cert = ClientCertForwarding::Shown;
    }
    http.answer = seconds(raw.answer.as_ref(), http.answer, place)?;
    http.idle = seconds(raw.idle.as_ref(), http.idle, place)?;
    http.stall = seconds(raw.stall.as_ref(), http.stall, place)?;
    match &raw.requests {
        None => {}
        Some(requests) if (1..=100_000).contains(requests.get_ref()) => {
            http.requests = *requests.get_ref();
        }
        Some(requests) => {
            return Err(place.error(requests.span(), "site.http.requests must be 1 to 100000"));
        }
    }
    Ok(())
}

fn seconds(
    raw: Option<&Spanned<String>>,
    default: Duration,
    place: &SourceFile<'_>,
) -> Result<Duration, ConfigError> {
    let Some(raw) = raw else { return Ok(default) };
    match duration(Some(raw), "", place)? {
        short if short < Duration::from_secs(1) => {
            Err(place.error(raw.span(), "this timeout must be at least 1s"))
        }
        duration => Ok(duration),
    }
}

impl FromStr for ForwardedHeaders {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x" => Ok(Self::X),
            "rfc7239" => Ok(Self::Rfc7239),
            "both" => Ok(Self::Both),
            _ => Err(format!("{text:?}: forwarded must be \"x\", \"rfc7239\" or \"both\"")),
        }
    }
}

impl FromStr for OnRefusal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "close" => Ok(Self::Close),
            "explain" => Ok(Self::Explain),
            "observe" => Ok(Self::Observe),
            _ => Err(format!("{text:?}: on_refusal must be \"close\", \"explain\" or \"observe\"")),
        }
    }
}
