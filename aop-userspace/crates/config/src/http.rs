//! How the requests of a site are relayed: `[site.http]`.

use std::{str::FromStr, time::Duration};

use aop_common::Mode;
use toml::Spanned;

use super::{
    ConfigError, HostPattern, HttpUpstream, HttpVersion, ProxyProtocol, Upstream,
    raw::{RawHttp, RawSite},
    read::{Place, duration},
};

/// A site whose requests are relayed, not its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where they go.
    pub upstream: HttpUpstream,
    /// Hosts that requests may name beside those of the site itself.
    pub also_hosts: Vec<HostPattern>,
    /// The headers that name the visitor.
    pub forwarded: Forwarded,
    /// Whether the upstream gets to see the edge's certificate.
    pub client_cert: ClientCert,
    /// How long the upstream may keep silent before its answer begins.
    pub answer: Duration,
    /// How long the edge's connection may rest without a request.
    pub idle: Duration,
    /// How long a request that is being answered may stand still in both directions.
    pub stall: Duration,
    /// Requests that may be with the upstream at once.
    pub requests: usize,
}

/// The headers that name the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    X,
    /// `Forwarded`, by RFC 7239.
    Rfc7239,
    /// All of them.
    Both,
}

/// Whether an upstream gets to see the certificate: in `Client-Cert` (RFC 9440), or in the PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCert {
    /// It does not.
    Withheld,
    /// It gets the one that the edge authenticated with.
    Shown,
}

/// What becomes of a peer without the right certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    /// Its handshake fails with an alert.
    Close,
    /// Its handshake succeeds, and every request is answered by us with the reason.
    Explain,
    /// It is relayed all the same, and counted.
    Observe,
}

impl OnRefusal {
    /// The same where the operator has said that the site is to observe, or not to.
    #[must_use]
    pub fn under(self, own: Option<Mode>) -> Self {
        match (own, self) {
            (Some(Mode::Observe), _) => Self::Observe,
            (Some(Mode::Enforce), Self::Observe) => Self::Close,
            (Some(Mode::Enforce) | None, configured) => configured,
        }
    }

    /// How the configuration writes it.
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
    /// What holds where nothing is written. The answer's time exceeds the 100 seconds that
    /// Cloudflare waits, the idle time and that of a request which stands still the 900 after which
    /// it closes.
    #[must_use]
    pub fn new(upstream: HttpUpstream) -> Self {
        Self {
            upstream,
            also_hosts: Vec::new(),
            forwarded: Forwarded::X,
            client_cert: ClientCert::Withheld,
            answer: Duration::from_secs(125),
            idle: Duration::from_secs(930),
            stall: Duration::from_secs(930),
            requests: 1000,
        }
    }
}

/// The upstream of a site with what `[site.http]` says.
pub(super) fn upstream(
    site: &RawSite,
    proxy: ProxyProtocol,
    place: &Place<'_>,
) -> Result<Upstream, ConfigError> {
    let mut upstream = place.parse(&site.upstream)?;
    match (&mut upstream, &site.http) {
        (Upstream::Http(http), raw) => {
            if proxy != ProxyProtocol::Off && http.upstream.version == HttpVersion::H2c {
                let message = "requests of many visitors share the connection to an h2c upstream, \
                               so no PROXY header fits; the visitor's address is in \
                               X-Forwarded-For. Remove proxy, or write http://";
                return Err(place.error(site.upstream.span(), message));
            }
            if let Some(raw) = raw {
                fill(http, raw.get_ref(), place)?;
            }
        }
        (Upstream::Bytes(_), Some(raw)) => {
            let message = "[site.http] is for an upstream that takes requests: write it as \
                           http:// or h2c://, or remove the table";
            return Err(place.error(raw.span(), message));
        }
        (Upstream::Bytes(_), None) => {}
    }
    Ok(upstream)
}

/// What `on_refusal` says. To explain, it needs HTTP to say it in.
pub(super) fn on_refusal(
    site: &RawSite,
    upstream: &Upstream,
    place: &Place<'_>,
) -> Result<OnRefusal, ConfigError> {
    let Some(raw) = &site.on_refusal else { return Ok(OnRefusal::Close) };
    match (place.parse(raw)?, upstream) {
        (OnRefusal::Explain, Upstream::Bytes(_)) => {
            let message = "a refusal is explained in HTTP, and this upstream takes bytes: write it \
                           as http:// or h2c://, or leave on_refusal out";
            Err(place.error(raw.span(), message))
        }
        (on_refusal, _) => Ok(on_refusal),
    }
}

fn fill(http: &mut HttpConfig, raw: &RawHttp, place: &Place<'_>) -> Result<(), ConfigError> {
    for host in &raw.also_hosts {
        http.also_hosts.push(place.parse(host)?);
    }
    if let Some(forwarded) = &raw.forwarded {
        http.forwarded = place.parse(forwarded)?;
    }
    if raw.client_cert {
        http.client_cert = ClientCert::Shown;
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
            return Err(place.error(requests.span(), "site.http.requests is 1 to 100000"));
        }
    }
    Ok(())
}

fn seconds(
    raw: Option<&Spanned<String>>,
    default: Duration,
    place: &Place<'_>,
) -> Result<Duration, ConfigError> {
    let Some(raw) = raw else { return Ok(default) };
    match duration(Some(raw), "", place)? {
        short if short < Duration::from_secs(1) => {
            Err(place.error(raw.span(), "write a second at least"))
        }
        duration => Ok(duration),
    }
}

impl FromStr for Forwarded {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x" => Ok(Self::X),
            "rfc7239" => Ok(Self::Rfc7239),
            "both" => Ok(Self::Both),
            _ => Err(format!("{text:?}: forwarded is \"x\", \"rfc7239\" or \"both\"")),
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
            _ => Err(format!("{text:?}: on_refusal is \"close\", \"explain\" or \"observe\"")),
        }
    }
}
