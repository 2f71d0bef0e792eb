//! Where a site's bytes go.

use std::{fmt, path::PathBuf, str::FromStr};

/// The application that a site forwards to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// `tcp://host:port`; the host is resolved for each connection.
    Tcp(String),
    /// `unix:///path`
    Unix(PathBuf),
}

/// The header that tells the upstream who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// None.
    Off,
    /// Version 1, a line of text.
    V1,
    /// Version 2, binary.
    V2,
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(format!(
                    "{text:?}: the socket's path must be absolute, as in unix:///run/app.sock"
                )),
            };
        }
        let Some(authority) = text.strip_prefix("tcp://") else {
            return Err(format!(
                "{text:?}: this version forwards to tcp://HOST:PORT or unix:///PATH"
            ));
        };
        match authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p != 0) => {
                Ok(Self::Tcp(authority.to_owned()))
            }
            _ => Err(format!("{text:?}: write host and port, as in tcp://127.0.0.1:8080")),
        }
    }
}

impl FromStr for ProxyProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(format!("{text:?}: the PROXY protocol is \"off\", \"v1\" or \"v2\"")),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}
