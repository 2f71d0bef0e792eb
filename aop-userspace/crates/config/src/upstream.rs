//! Where a site's bytes or requests go.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use super::{ClientCert, HttpConfig};

/// The application that a site forwards to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Bytes, over one connection for each of the peer's: `tcp://host:port` or `unix:///path`.
    Bytes(Address),
    /// Requests, over connections that are kept: `http://`, `h2c://`, `unix+http://`, `unix+h2c://`.
    Http(Box<HttpConfig>),
}

/// An application that takes HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUpstream {
    /// What it speaks.
    pub version: HttpVersion,
    /// Where it listens.
    pub address: Address,
}

/// What an upstream speaks, always in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    H2c,
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `host:port`; the host is resolved for each connection.
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

/// The header that tells the upstream who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// None.
    Off,
    /// Version 1, a line of text.
    V1,
    /// Version 2, binary, with what is known of TLS; and the client certificate, where it is shown.
    V2(ClientCert),
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else { return Err(unknown(text)) };
        let http = |version, address| {
            Self::Http(Box::new(HttpConfig::new(HttpUpstream { version, address })))
        };
        Ok(match scheme {
            "tcp" => Self::Bytes(Address::Tcp(authority(text, rest)?)),
            "unix" => Self::Bytes(Address::Unix(socket(text, rest)?)),
            "http" => http(HttpVersion::Http1, Address::Tcp(authority(text, rest)?)),
            "unix+http" => http(HttpVersion::Http1, Address::Unix(socket(text, rest)?)),
            "h2c" => http(HttpVersion::H2c, Address::Tcp(authority(text, rest)?)),
            "unix+h2c" => http(HttpVersion::H2c, Address::Unix(socket(text, rest)?)),
            _ => return Err(unknown(text)),
        })
    }
}

impl Upstream {
    /// Whether its host has to be looked up.
    #[must_use]
    pub fn is_named(&self) -> bool {
        let address = match self {
            Self::Bytes(address) => address,
            Self::Http(http) => &http.upstream.address,
        };
        match address {
            Address::Tcp(authority) => authority.parse::<SocketAddr>().is_err(),
            Address::Unix(_) => false,
        }
    }
}

fn unknown(text: &str) -> String {
    format!(
        "{text:?}: an upstream is tcp://HOST:PORT or unix:///PATH for bytes, http://HOST:PORT, \
         unix+http:///PATH, h2c://HOST:PORT or unix+h2c:///PATH for requests"
    )
}

fn socket(text: &str, path: &str) -> Result<PathBuf, String> {
    match path.starts_with('/') {
        true => Ok(path.into()),
        false => {
            Err(format!("{text:?}: the socket's path must be absolute, as in unix:///run/app.sock"))
        }
    }
}

fn authority(text: &str, authority: &str) -> Result<String, String> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p != 0) => {
            Ok(authority.to_owned())
        }
        _ => Err(format!("{text:?}: write host and port alone, as in tcp://127.0.0.1:8080")),
    }
}

impl FromStr for ProxyProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2(ClientCert::Withheld)),
            _ => Err(format!("{text:?}: the PROXY protocol is \"off\", \"v1\" or \"v2\"")),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(Address::Tcp(authority)) => write!(f, "tcp://{authority}"),
            Self::Bytes(Address::Unix(path)) => write!(f, "unix://{}", path.display()),
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
            Address::Tcp(authority) => write!(f, "{scheme}://{authority}"),
            Address::Unix(path) => write!(f, "unix+{scheme}://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_upstream_reads_as_it_is_written() {
        for text in [
            "tcp://127.0.0.1:8080",
            "unix:///run/app.sock",
            "http://localhost:80",
            "http://[::1]:80",
            "unix+http:///run/app.sock",
            "h2c://127.0.0.1:50051",
            "unix+h2c:///run/app.sock",
        ] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_host_that_is_no_address_has_to_be_looked_up() {
        let named = |text: &str| text.parse::<Upstream>().unwrap().is_named();
        assert!(named("tcp://app:80") && named("h2c://app.internal:80"));
        assert!(!named("tcp://[::1]:80") && !named("http://127.0.0.1:80"));
        assert!(!named("unix:///run/app.sock") && !named("unix+http:///run/app.sock"));
    }

    #[test]
    fn what_could_mean_something_else_is_refused() {
        for text in [
            "https://a:443",
            "http://a",
            "http://a:80/path",
            "http://a:0",
            "unix+http://run/app.sock",
            "127.0.0.1:80",
        ] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }
}
