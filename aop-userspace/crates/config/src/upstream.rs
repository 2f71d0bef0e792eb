//! The upstream of a site: the application that gets its bytes or requests.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use crate::{ClientCertForwarding, HttpConfig, value::config_values};

/// The application that a site forwards to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// It takes bytes, over one connection per connection of the peer: `tcp://host:port` or
    /// `unix:///path`.
    Bytes(UpstreamAddress),
    /// It takes requests, over pooled connections: `http://`, `h2c://`, `unix+http://` or
    /// `unix+h2c://`.
    Http(Box<HttpConfig>),
}

/// An application that takes HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUpstream {
    /// Its protocol.
    pub version: HttpVersion,
    /// Its address.
    pub address: UpstreamAddress,
}

/// The protocol of an upstream, always without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    H2c,
}

/// The address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// `host:port`; the host is resolved for each connection.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// The PROXY header, which tells the upstream the address of the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// No header.
    Off,
    /// Version 1, one line of text.
    V1,
    /// Version 2, binary, with facts about TLS, and optionally the client certificate.
    V2(ClientCertForwarding),
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else { return Err(unknown(text)) };
        let http = |version, address| {
            Self::Http(Box::new(HttpConfig::new(HttpUpstream { version, address })))
        };
        Ok(match scheme {
            "tcp" => Self::Bytes(UpstreamAddress::Tcp(authority(text, rest)?)),
            "unix" => Self::Bytes(UpstreamAddress::Unix(socket(text, rest)?)),
            "http" => http(HttpVersion::Http1, UpstreamAddress::Tcp(authority(text, rest)?)),
            "unix+http" => http(HttpVersion::Http1, UpstreamAddress::Unix(socket(text, rest)?)),
            "h2c" => http(HttpVersion::H2c, UpstreamAddress::Tcp(authority(text, rest)?)),
            "unix+h2c" => http(HttpVersion::H2c, UpstreamAddress::Unix(socket(text, rest)?)),
            _ => return Err(unknown(text)),
        })
    }
}

impl Upstream {
    /// Whether its host must be resolved.
    #[must_use]
    pub fn is_named(&self) -> bool {
        let address = match self {
            Self::Bytes(address) => address,
            Self::Http(http) => &http.upstream.address,
        };
        match address {
            UpstreamAddress::Tcp(authority) => authority.parse::<SocketAddr>().is_err(),
            UpstreamAddress::Unix(_) => false,
        }
    }
}

fn unknown(text: &str) -> String {
    format!(
        "{text:?}: an upstream must be tcp://HOST:PORT or unix:///PATH for bytes, or \
         http://HOST:PORT, unix+http:///PATH, h2c://HOST:PORT or unix+h2c:///PATH for requests"
    )
}

fn socket(text: &str, path: &str) -> Result<PathBuf, String> {
    if path.starts_with('/') {
        Ok(path.into())
    } else {
        Err(format!("{text:?}: the socket's path must be absolute, as in unix:///run/app.sock"))
    }
}

fn authority(text: &str, authority: &str) -> Result<String, String> {
    if authority.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
        return Ok(authority.to_owned());
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|p| p != 0) => {
            Ok(authority.to_owned())
        }
        _ => Err(format!("{text:?}: write only host and port, as in tcp://127.0.0.1:8080")),
    }
}

/// Whether it is an IPv6 address without brackets, or can be a name of the resolver.
fn is_host(host: &str) -> bool {
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    host.parse::<Ipv6Addr>().is_ok() || (!host.is_empty() && host.chars().all(in_name))
}

config_values!(ProxyProtocol, "proxy",
    "off" => Self::Off, "v1" => Self::V1, "v2" => Self::V2(ClientCertForwarding::Withheld));

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(UpstreamAddress::Tcp(authority)) => write!(f, "tcp://{authority}"),
            Self::Bytes(UpstreamAddress::Unix(path)) => write!(f, "unix://{}", path.display()),
            Self::Http(http) => http.upstream.fmt(f),
        }
    }
}

impl fmt::Display for HttpUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.version {
            HttpVersion::Http1 => "http",
            HttpVersion::H2c => "h2c",
        };
        match &self.address {
            UpstreamAddress::Tcp(authority) => write!(f, "{scheme}://{authority}"),
            UpstreamAddress::Unix(path) => write!(f, "unix+{scheme}://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_upstream_survives_the_round_trip() {
        for text in [
            "tcp://127.0.0.1:8080",
            "unix:///run/app.sock",
            "http://localhost:80",
            "http://[::1]:80",
            "tcp://::1:80",
            "tcp://[fe80::1%3]:80",
            "h2c://my_app.internal-1:80",
            "unix+http:///run/app.sock",
            "h2c://127.0.0.1:50051",
            "unix+h2c:///run/app.sock",
        ] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_host_that_is_not_an_address_must_be_resolved() {
        let named = |text: &str| text.parse::<Upstream>().unwrap().is_named();
        assert!(named("tcp://app:80") && named("h2c://app.internal:80"));
        assert!(!named("tcp://[::1]:80") && !named("http://127.0.0.1:80"));
        assert!(!named("unix:///run/app.sock") && !named("unix+http:///run/app.sock"));
    }

    #[test]
    fn an_unsupported_or_ambiguous_upstream_is_refused() {
        for text in [
            "https://a:443",
            "http://a",
            "http://a:80/path",
            "http://a:0",
            "http://a/b:80",
            "tcp://user@a:80",
            "tcp://a b:80",
            "tcp://:80",
            "http://[a]:80",
            "tcp://[192.0.2.1]:80",
            "tcp://192.0.2.1:0",
            "unix+http://run/app.sock",
            "127.0.0.1:80",
        ] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_refused_upstream_is_quoted_with_what_to_write() {
        let kinds = "tcp://HOST:PORT or unix:///PATH for bytes";
        let authority = "write only host and port, as in tcp://127.0.0.1:8080";
        for (text, cure) in [
            ("127.0.0.1:80", kinds),
            ("https://a:443", kinds),
            ("tcp://a", authority),
            ("tcp://:80", authority),
            ("http://a:65536", authority),
            ("unix://run/app.sock", "must be absolute, as in unix:///run/app.sock"),
        ] {
            let error = text.parse::<Upstream>().expect_err(text);
            assert!(error.starts_with(&format!("{text:?}: ")) && error.contains(cure), "{error}");
        }
    }
}
