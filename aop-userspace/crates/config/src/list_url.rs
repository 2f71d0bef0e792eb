//! The URL of a prefix list, which must be safe against attackers on the network path.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// Cloudflare's API for its own list
/// (<https://developers.cloudflare.com/api/resources/ips/methods/list/>).
const CLOUDFLARE_API: &str = "https://api.cloudflare.com/client/v4/ips";

/// An `https://` URL, or an `http://` URL of this host: an attacker on the network path who could
/// change the list would choose the admitted prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUrl(String);

/// The networks whose prefixes Cloudflare's API lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Networks {
    /// The global network.
    Global,
    /// That, and the China network, which JD Cloud runs.
    WithChina,
}

impl ListUrl {
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

    /// The networks that the URL asks Cloudflare's API for.
    #[must_use]
    pub fn networks(&self) -> Networks {
        if self.0.contains("networks=jdcloud") { Networks::WithChina } else { Networks::Global }
    }

    /// Cloudflare's API.
    pub(crate) fn cloudflare() -> Self {
        Self(CLOUDFLARE_API.to_owned())
    }

    /// The same URL, with a request for the China network.
    pub(crate) fn with_china(&self) -> Self {
        let separator = if self.0.contains('?') { '&' } else { '?' };
        Self(format!("{}{separator}networks=jdcloud", self.0))
    }
}

impl FromStr for ListUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check_url(text, "a list", "change this list").map(|()| Self(text.to_owned()))
    }
}

/// Checks that `text` is an `https://` URL, or an `http://` URL of this host. The errors name its
/// owner, `of`, and the `harm` that an attacker on the network path could do otherwise.
pub(crate) fn check_url(text: &str, of: &str, harm: &str) -> Result<(), String> {
    let (scheme, rest) = text.split_once("://").ok_or(format!("{text:?} is not a URL"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{text:?} is not a URL"));
    }
    if authority.contains('@') || text.contains('#') {
        return Err(format!("{text:?}: the URL of {of} has no user and no fragment"));
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(authority) => Ok(()),
        "http" => Err(format!(
            "{text:?}: an attacker on the network path could {harm}. Use https://; http:// is only \
             for 127.0.0.1 and [::1]"
        )),
        _ => Err(format!("{text:?}: the URL of {of} must begin with https://")),
    }
}

impl fmt::Display for ListUrl {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_must_come_over_tls_or_from_this_host() {
        for text in [
            "https://api.cloudflare.com/client/v4/ips",
            "https://mirror.example/list?x=1",
            "http://127.0.0.1:8000/list",
            "http://[::1]:8000/list",
        ] {
            assert_eq!(text.parse::<ListUrl>().expect(text).as_str(), text);
        }
        for text in [
            "http://mirror.example/list",
            "http://127.0.0.1.example/list",
            "http://localhost.example/",
            "http://127.0.0.1@mirror.example/",
            "http://[::1].example@evil.example/",
            "http://[::1]evil.example/",
            "http://[2001:db8::1]/list",
            "https://user:secret@mirror.example/",
            "ftp://mirror.example/list",
            "https://",
            "https:///list",
            "https://mirror.example/a b",
        ] {
            assert!(text.parse::<ListUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_china_network_is_requested_in_addition_to_the_query_of_the_url() {
        let url: ListUrl = "https://mirror.example/ips".parse().expect("a URL");
        assert_eq!(url.networks(), Networks::Global);
        let with_china = url.with_china();
        assert_eq!(with_china.as_str(), "https://mirror.example/ips?networks=jdcloud");
        assert_eq!(with_china.networks(), Networks::WithChina);
        let url: ListUrl = "https://mirror.example/ips?x=1".parse().expect("a URL");
        assert!(url.with_china().as_str().ends_with("?x=1&networks=jdcloud"));
    }

    #[test]
    fn a_refused_url_is_quoted_with_its_mistake() {
        for (text, mistake) in [
            ("mirror.example/list", "is not a URL"),
            ("https://?x=1", "is not a URL"),
            ("https://mirror.example/\u{7f}", "is not a URL"),
            ("https://user@mirror.example/", "has no user and no fragment"),
            ("https://mirror.example/#list", "has no user and no fragment"),
            ("http://mirror.example/list", "Use https://"),
            ("ftp://mirror.example/list", "must begin with https://"),
        ] {
            let error = text.parse::<ListUrl>().expect_err(text);
            assert!(error.starts_with(&format!("{text:?}")) && error.contains(mistake), "{error}");
        }
    }

    #[test]
    fn only_a_url_of_this_host_is_plain() {
        let url = |text: &str| text.parse::<ListUrl>().expect("a URL");
        assert!(url("http://127.0.0.1/list").is_plain() && url("http://[::1]/list").is_plain());
        assert!(!url("https://127.0.0.1/http://").is_plain());
        assert!(!ListUrl::cloudflare().is_plain());
        assert_eq!(url("https://mirror.example/").to_string(), "https://mirror.example/");
    }
}
