//! Host names, and the patterns that sites serve.

use std::{fmt, str::FromStr};

/// A host name in canonical form: lower case, no trailing dot, no port, never an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(String);

/// The hosts that a pattern covers: one host, or every host exactly one label below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `example.com`
    Exact(Host),
    /// `*.example.com`, by the host behind the star.
    Below(Host),
}

impl Host {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host one label up: `example.com` for `www.example.com`.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, parent)| Self(parent.to_owned()))
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() || name.len() > 253 {
            return Err(format!("{text:?} is not a host name, which has 1 to 253 characters"));
        }
        if name.parse::<std::net::IpAddr>().is_ok() {
            return Err(format!("{text:?} is an address; sites are chosen by host name"));
        }
        if name.contains(':') {
            return Err(format!("{text:?} has a port; write only the host"));
        }
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !name.split('.').all(label_ok) {
            return Err(format!(
                "{text:?} is not a host name; international names are written in punycode (xn--…)"
            ));
        }
        Ok(Self(name))
    }
}

impl HostPattern {
    /// Whether the pattern covers `host`.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(own) => own == host,
            Self::Below(own) => host.parent().as_ref() == Some(own),
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((scheme_or_host, rest)) = text.split_once('/') {
            let host = match rest.strip_prefix('/') {
                Some(rest) => rest.split(['/', ':']).next().unwrap_or_default(),
                None => scheme_or_host,
            };
            return Err(format!("{text:?} is a URL; write only the host: {host:?}"));
        }
        match text.strip_prefix("*.") {
            Some(rest) => rest.parse().map(Self::Below),
            None if text.contains('*') => {
                Err(format!("{text:?}: a star must be the whole first label, as in *.example.com"))
            }
            None => text.parse().map(Self::Exact),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Below(host) => write!(f, "*.{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_a_trailing_dot_do_not_matter() {
        assert_eq!("WWW.Example.COM.".parse::<Host>(), "www.example.com".parse());
    }

    #[test]
    fn an_invalid_host_name_is_refused() {
        for text in
            ["", ".", "a..b", "192.0.2.1", "::1", "example.com:443", "-a.com", "exämple.com"]
        {
            assert!(text.parse::<Host>().is_err(), "{text:?}");
        }
        for text in ["*", "*.", "w*.example.com", "*.*.example.com", "a.*.com"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_host_in_a_url_is_named() {
        for (url, host) in [
            ("https://example.com", "example.com"),
            ("https://example.com:8443/shop", "example.com"),
            ("https://*.example.com/", "*.example.com"),
            ("example.com/shop", "example.com"),
        ] {
            let error = url.parse::<HostPattern>().unwrap_err();
            assert_eq!(error, format!("{url:?} is a URL; write only the host: {host:?}"));
        }
    }

    #[test]
    fn a_refused_host_is_quoted_with_the_rule_that_it_breaks() {
        for (text, rule) in [
            ("", "has 1 to 253 characters"),
            (".", "has 1 to 253 characters"),
            ("192.0.2.1", "is an address"),
            ("2001:db8::1", "is an address"),
            ("a.test:443", "has a port; write only the host"),
            ("exämple.com", "written in punycode"),
            ("a.test!", "written in punycode"),
        ] {
            let error = text.parse::<Host>().expect_err(text);
            assert!(error.starts_with(&format!("{text:?} ")) && error.contains(rule), "{error}");
        }
        for text in ["*", "w*.example.com", "a.*.com"] {
            let error = text.parse::<HostPattern>().expect_err(text);
            assert!(error.contains("the whole first label, as in *.example.com"), "{error}");
        }
    }

    #[test]
    fn a_host_has_at_most_253_characters_in_labels_of_1_to_63() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        for text in [&longest, &format!("{longest}."), "a-b.c_d.0.test", "a--b", "_"] {
            let host = text.parse::<Host>().expect(text);
            assert_eq!(host.as_str(), text.strip_suffix('.').unwrap_or(text));
            assert_eq!(host.to_string(), host.as_str());
        }
        let error = format!("{longest}a").parse::<Host>().expect_err("254 characters");
        assert!(error.contains("has 1 to 253 characters"), "{error}");
        for text in [&format!("{label}a.test"), ".a.test", "a.test..", "a-.test", "-", "a b.test"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_exactly_one_label() {
        let covers = |pattern: &str, host: &str| {
            let pattern: HostPattern = pattern.parse().expect("a pattern");
            pattern.matches(&host.parse().expect("a host"))
        };
        assert!(covers("a.test", "A.test."));
        assert!(!covers("a.test", "www.a.test") && !covers("a.test", "b.test"));
        assert!(covers("*.a.test", "www.a.test") && covers("*.A.test", "b.a.test"));
        assert!(!covers("*.a.test", "a.test") && !covers("*.a.test", "x.www.a.test"));
        assert!(!covers("*.a.test", "www.b.test"));
        assert_eq!("*.A.test.".parse::<HostPattern>().expect("it").to_string(), "*.a.test");
    }
}
