//! `listen`: where a server block accepts connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tree::Directive;

/// The port without one in `listen`.
const HTTP: u16 = 80;

/// A `listen`, or the default of a server block without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    pub(super) address: ListenAddress,
    pub(super) protocol: ListenProtocol,
    /// Whether connections begin with a PROXY header.
    pub(super) proxy_header: bool,
}

/// Where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListenAddress {
    Tcp(SocketAddr),
    Unix,
    /// A text that is neither.
    Unknown,
}

/// The protocol there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenProtocol {
    Plain,
    Tls,
    /// QUIC, over UDP.
    Quic,
}

impl Listen {
    /// A server block without `listen`.
    pub(super) const DEFAULT: Self = Self {
        address: ListenAddress::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), HTTP)),
        protocol: ListenProtocol::Plain,
        proxy_header: false,
    };

    /// Reads `listen …`. With the old directive `ssl on`, `all_tls` is true.
    pub(super) fn read(directive: &Directive, all_tls: bool) -> Self {
        let has = |word: &str| directive.arguments.iter().skip(1).any(|it| &*it.text == word);
        let protocol = match (has("quic"), has("ssl") || all_tls) {
            (true, _) => ListenProtocol::Quic,
            (false, true) => ListenProtocol::Tls,
            (false, false) => ListenProtocol::Plain,
        };
        let address = address(directive.argument(0));
        Self { address, protocol, proxy_header: has("proxy_protocol") }
    }

    /// The TCP address.
    pub(super) fn tcp(&self) -> Option<SocketAddr> {
        match (&self.address, self.protocol) {
            (ListenAddress::Tcp(address), ListenProtocol::Plain | ListenProtocol::Tls) => {
                Some(*address)
            }
            (ListenAddress::Tcp(_), ListenProtocol::Quic) => None,
            (ListenAddress::Unix | ListenAddress::Unknown, _) => None,
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.protocol == ListenProtocol::Tls
    }
}

fn address(text: &str) -> ListenAddress {
    if text.starts_with("unix:") {
        return ListenAddress::Unix;
    }
    let v4 = |port| Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    let parsed = if let Ok(port) = text.parse::<u16>() {
        v4(port)
    } else if let Some(inside) = text.strip_prefix('[') {
        let (address, rest) = inside.split_once(']').unwrap_or(("", ""));
        let port = if rest.is_empty() { Some(HTTP) } else { port_after_colon(rest) };
        address.parse::<Ipv6Addr>().ok().zip(port).map(SocketAddr::from)
    } else {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (text, Some(HTTP)),
        };
        match (host, port) {
            ("*", Some(port)) => v4(port),
            ("localhost", Some(port)) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            (host, Some(port)) => {
                host.parse::<Ipv4Addr>().ok().map(|it| SocketAddr::from((it, port)))
            }
            (_, None) => None,
        }
    };
    match parsed.filter(|address| address.port() != 0) {
        Some(address) => ListenAddress::Tcp(address),
        None => ListenAddress::Unknown,
    }
}

fn port_after_colon(text: &str) -> Option<u16> {
    text.strip_prefix(':')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_each_form_of_nginx() {
        for (text, expected) in [
            ("443", "0.0.0.0:443"),
            ("*:443", "0.0.0.0:443"),
            ("*", "0.0.0.0:80"),
            ("192.0.2.1:8443", "192.0.2.1:8443"),
            ("192.0.2.1", "192.0.2.1:80"),
            ("[::]:443", "[::]:443"),
            ("[2001:db8::1]", "[2001:db8::1]:80"),
            ("localhost:8080", "127.0.0.1:8080"),
        ] {
            let expected = ListenAddress::Tcp(expected.parse().unwrap());
            assert_eq!(address(text), expected, "{text}");
        }
        assert_eq!(address("unix:/run/nginx.sock"), ListenAddress::Unix);
        for text in ["", "0", "70000", "8000-8010", "host.test:80", "$port", "[::", "[::]x", "a:b"]
        {
            assert_eq!(address(text), ListenAddress::Unknown, "{text}");
        }
    }
}
