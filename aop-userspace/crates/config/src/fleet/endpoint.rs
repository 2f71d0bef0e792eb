//! A member of etcd.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use crate::SecureUrl;

/// The port of etcd's clients (registered with IANA).
const ETCD_PORT: u16 = 2379;

/// `https://HOST:PORT`, or `http://` of this host: an attacker on the network path could read the
/// reports otherwise, and show false ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdEndpoint {
    host: String,
    port: u16,
    plain: bool,
}

impl EtcdEndpoint {
    /// The name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is `http://`, over the loopback of this host.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }
}

impl FromStr for EtcdEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        SecureUrl::parse(text, "etcd", "read the reports, and show false ones")?;
        let bad = || {
            format!(
                "{text:?}: an endpoint of etcd is a scheme, a host and a port, such as \
                 \"https://etcd-1.example.net:2379\""
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => v6.split_once(']').ok_or_else(bad)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?,
            None if port.is_empty() => ETCD_PORT,
            None => return Err(bad()),
        };
        let v6 = authority.starts_with('[');
        let valid = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        let named = !v6 && !host.is_empty() && host.len() <= 253 && host.chars().all(valid);
        let addressed = v6 && host.parse::<Ipv6Addr>().is_ok();
        if !(named || addressed) {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port, plain: scheme == "http" })
    }
}

impl fmt::Display for EtcdEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, plain } = self;
        let scheme = if *plain { "http" } else { "https" };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}
