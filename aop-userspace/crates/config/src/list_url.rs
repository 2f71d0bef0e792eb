//! The URL of a prefix list.

use std::{ops::Deref, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::SecureUrl;

/// Cloudflare's API for its own list
/// (<https://developers.cloudflare.com/api/resources/ips/methods/list/>).
const CLOUDFLARE_API: &str = "https://api.cloudflare.com/client/v4/ips";

/// The URL of a list: an attacker on the network path who could change the list would choose the
/// admitted prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUrl(SecureUrl);

/// The networks whose prefixes Cloudflare's API lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Networks {
    /// The global network.
    Global,
    /// That, and the China network, which JD Cloud runs.
    WithChina,
}

impl ListUrl {
    /// The networks that the URL asks Cloudflare's API for.
    #[must_use]
    pub fn networks(&self) -> Networks {
        if self.as_str().contains("networks=jdcloud") {
            Networks::WithChina
        } else {
            Networks::Global
        }
    }

    /// Cloudflare's API.
    pub(crate) fn cloudflare() -> Self {
        Self(SecureUrl::known(CLOUDFLARE_API))
    }

    /// The same URL, with a request for the China network.
    pub(crate) fn with_china(&self) -> Self {
        let separator = if self.as_str().contains('?') { '&' } else { '?' };
        Self(self.0.with_end(&format!("{separator}networks=jdcloud")))
    }
}

impl Deref for ListUrl {
    type Target = SecureUrl;

    fn deref(&self) -> &SecureUrl {
        &self.0
    }
}

impl FromStr for ListUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        SecureUrl::parse(text, "a list", "change this list").map(Self)
    }
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
