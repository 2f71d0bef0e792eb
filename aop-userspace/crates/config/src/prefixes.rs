//! The source of the admitted prefixes, and the refresh interval.

use std::{fmt, path::PathBuf, time::Duration};

use ipnet::IpNet;
use toml::Spanned;

use crate::{
    ConfigError, ListUrl,
    parse::{SourceFile, duration},
    toml_schema::RawPrefixes,
};

/// The shortest interval. The list changes less than once a year.
const MIN_REFRESH: Duration = Duration::from_secs(5 * 60);

/// The source of the admitted prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixSource {
    /// Cloudflare's API, or a mirror of it. The built-in snapshot is used until it has answered.
    Cloudflare(ListUrl),
    /// A list at a URL: one CIDR per line, or JSON in the format of Cloudflare's API.
    Url(ListUrl),
    /// A file with one CIDR per line, or with that JSON.
    File(PathBuf),
    /// A list in the configuration itself.
    Inline(Vec<IpNet>),
}

impl PrefixSource {
    /// The URL of the list, if it is fetched.
    #[must_use]
    pub fn url(&self) -> Option<&ListUrl> {
        match self {
            Self::Cloudflare(url) | Self::Url(url) => Some(url),
            Self::File(_) | Self::Inline(_) => None,
        }
    }
}

/// The name of the source in the status.
impl fmt::Display for PrefixSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cloudflare(_) => f.write_str("cloudflare"),
            Self::Url(url) => f.write_str(url.as_str()),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Inline(_) => f.write_str("inline"),
        }
    }
}

pub(crate) fn source(raw: &RawPrefixes, src: &SourceFile<'_>) -> Result<PrefixSource, ConfigError> {
    let Some(source) = raw.source.as_ref().filter(|source| !is_cloudflare(source.get_ref())) else {
        return cloudflare(raw, src).map(PrefixSource::Cloudflare);
    };
    for (key, set) in [("url", &raw.url), ("networks", &raw.networks)] {
        if let Some(set) = set {
            let message = format!("prefixes.{key} needs source = \"cloudflare\"; remove it");
            return Err(src.error(set.span(), message));
        }
    }
    let refused = |message: String| src.error(source.span(), message);
    match source.get_ref().as_str() {
        Some(url) if url.contains("://") => url.parse().map(PrefixSource::Url).map_err(refused),
        Some(path) => Ok(PrefixSource::File(src.path(path))),
        None => inline(source.get_ref()).map(PrefixSource::Inline).map_err(refused),
    }
}

fn inline(source: &toml::Value) -> Result<Vec<IpNet>, String> {
    let list = source
        .as_array()
        .ok_or("prefixes.source must be \"cloudflare\", a URL, a path, or a list of CIDRs")?;
    list.iter().map(cidr).collect()
}

fn is_cloudflare(source: &toml::Value) -> bool {
    source.as_str() == Some("cloudflare")
}

fn cloudflare(raw: &RawPrefixes, src: &SourceFile<'_>) -> Result<ListUrl, ConfigError> {
    let url = match &raw.url {
        Some(url) => src.parse(url)?,
        None => ListUrl::cloudflare(),
    };
    match &raw.networks {
        None => Ok(url),
        Some(networks) if networks.get_ref() == "jdcloud" => Ok(url.with_china()),
        Some(networks) => {
            let message = "prefixes.networks must be \"jdcloud\", the China network";
            Err(src.error(networks.span(), message))
        }
    }
}

fn cidr(value: &toml::Value) -> Result<IpNet, String> {
    let text =
        value.as_str().ok_or_else(|| format!("a {} is not a CIDR in quotes", value.type_str()))?;
    aop_types::parse_prefix(text)
}

pub(crate) fn refresh(
    raw: Option<&Spanned<String>>,
    src: &SourceFile<'_>,
) -> Result<Option<Duration>, ConfigError> {
    match raw {
        Some(off) if off.get_ref() == "off" => Ok(None),
        _ => match duration(raw, "12h", src)? {
            short if short < MIN_REFRESH => {
                let message = "prefixes.refresh must be at least 5m, or \"off\"";
                Err(src.error(raw.map_or(0..0, Spanned::span), message))
            }
            refresh => Ok(Some(refresh)),
        },
    }
}
