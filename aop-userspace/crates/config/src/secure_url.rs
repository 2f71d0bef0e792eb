//! A URL that is safe against attackers on the network path.

use std::{fmt, net::IpAddr};

/// An `https://` URL, or an `http://` URL of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureUrl(String);

impl SecureUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `http://`, over the loopback of this host.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Parses `text`. The errors name its owner, `of`, and the `harm` that an attacker on the
    /// network path could do to a URL of another kind.
    pub(crate) fn parse(text: &str, of: &str, harm: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(format!("{text:?} is not a URL"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(format!("{text:?} is not a URL"));
        }
        if authority.contains('@') || text.contains('#') {
            return Err(format!("{text:?}: the URL of {of} has no user and no fragment"));
        }
        match scheme {
            "https" => Ok(Self(text.to_owned())),
            "http" if is_loopback(authority) => Ok(Self(text.to_owned())),
            "http" => Err(format!(
                "{text:?}: an attacker on the network path could {harm}. Use https://; http:// is \
                 only for 127.0.0.1 and [::1]"
            )),
            _ => Err(format!("{text:?}: the URL of {of} must begin with https://")),
        }
    }

    /// An `https://` URL of ours.
    pub(crate) fn known(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The same URL without a slash at its end.
    pub(crate) fn without_slash(&self) -> Self {
        Self(self.0.trim_end_matches('/').to_owned())
    }

    /// The same URL with more path or query.
    pub(crate) fn with_end(&self, end: &str) -> Self {
        Self(format!("{self}{end}"))
    }
}

impl fmt::Display for SecureUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Accepts only addresses: a name could resolve to any address.
fn is_loopback(authority: &str) -> bool {
    if let Some(v6) = authority.strip_prefix('[') {
        return v6 == "::1]" || v6.starts_with("::1]:");
    }
    let host = authority.split(':').next().unwrap_or_default();
    host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
