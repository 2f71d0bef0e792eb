//! The monitoring endpoint: `[monitor]`.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

/// The monitoring endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorConfig {
    /// Its address.
    pub address: MonitorAddress,
    /// Whether it serves the status page.
    pub page: StatusPage,
}

/// Whether the status page for people is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPage {
    /// It is, to browsers on this host.
    Served,
    /// It is not.
    Off,
}

/// An address that only this host can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorAddress {
    /// A loopback address with a port.
    Loopback(SocketAddr),
    /// The path of a Unix socket.
    Socket(PathBuf),
}

impl MonitorAddress {
    /// The loopback address, if it is one.
    #[must_use]
    pub fn port(&self) -> Option<SocketAddr> {
        match self {
            Self::Loopback(address) => Some(*address),
            Self::Socket(_) => None,
        }
    }
}

impl FromStr for MonitorAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::Socket(path.into()))
            } else {
                Err(format!("{text:?}: the socket's path must be absolute"))
            };
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 || !address.ip().is_loopback() => Err(format!(
                "{text:?}: only this host may reach the monitor. Write a loopback address with a \
                 port, such as 127.0.0.1:9465, or a socket, such as unix:/run/aop/monitor.sock"
            )),
            Ok(address) => Ok(Self::Loopback(address)),
            Err(_) => Err(format!(
                "{text:?} is neither an address with a port, such as 127.0.0.1:9465, nor a socket, \
                 such as unix:/run/aop/monitor.sock"
            )),
        }
    }
}

impl fmt::Display for MonitorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback(address) => address.fmt(f),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_other_hosts_could_reach_is_refused() {
        for text in ["127.0.0.1:9465", "[::1]:9465", "127.0.0.2:1", "unix:/run/aop/monitor.sock"] {
            assert_eq!(
                text.parse::<MonitorAddress>().map(|it| it.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!("unix:///a".parse::<MonitorAddress>(), "unix:/a".parse());
        for text in [
            "0.0.0.0:9465",
            "[::]:9465",
            "192.0.2.1:9465",
            "[::ffff:127.0.0.1]:9465",
            "127.0.0.1:0",
            "127.0.0.1",
            "localhost:9465",
            "unix:monitor.sock",
            "",
        ] {
            assert!(text.parse::<MonitorAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_refused_address_is_quoted_with_an_example() {
        for (text, rule, example) in [
            ("192.0.2.1:9465", "only this host may reach the monitor", "127.0.0.1:9465"),
            ("127.0.0.1:0", "a loopback address with a port", "unix:/run/aop/monitor.sock"),
            ("localhost:1", "neither an address with a port", "127.0.0.1:9465"),
            ("unix:a", "the socket's path must be absolute", "unix:a"),
        ] {
            let error = text.parse::<MonitorAddress>().expect_err(text);
            assert!(error.starts_with(&format!("{text:?}")), "{error}");
            assert!(error.contains(rule) && error.contains(example), "{error}");
        }
    }

    #[test]
    fn only_a_loopback_address_has_a_port() {
        let port = |text: &str| text.parse::<MonitorAddress>().expect("an address").port();
        assert_eq!(port("[::1]:9465"), Some("[::1]:9465".parse().unwrap()));
        assert_eq!(port("unix:/run/aop/monitor.sock"), None);
    }
}
