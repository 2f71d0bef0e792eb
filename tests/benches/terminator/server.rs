//! The products, and a running server of one of them.

use std::{fmt, net::SocketAddr};

use anyhow::Result;
use aop_tests::{Lab, Process};

use crate::{
    aop::Aop,
    haproxy, hitch, nginx,
    rival::{self, Rival},
};

/// The address of every server, and the address of the upstream.
pub(crate) const LISTEN: &str = "127.0.0.1:443";
pub(crate) const UPSTREAM: &str = "127.0.0.1:8080";
/// The address of the upstream that speaks HTTP/2.
pub(crate) const H2C_UPSTREAM: &str = "127.0.0.1:8081";

/// The units that a server relays: bytes or requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Tcp,
    Http,
    /// HTTP/2 from the peer, HTTP/1.1 to the upstream.
    Http2,
    /// HTTP/2 on both sides.
    H2c,
}

impl Layer {
    pub(crate) const ALL: [Self; 4] = [Self::Tcp, Self::Http, Self::Http2, Self::H2c];

    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::H2c)
    }

    /// The address of its upstream.
    pub(crate) fn upstream(self) -> &'static str {
        match self {
            Self::Tcp | Self::Http | Self::Http2 => UPSTREAM,
            Self::H2c => H2C_UPSTREAM,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Http2 => "http2",
            Self::H2c => "h2c",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Aop,
    Nginx,
    Haproxy,
    Hitch,
}

impl Product {
    pub(crate) const ALL: [Self; 4] = [Self::Aop, Self::Nginx, Self::Haproxy, Self::Hitch];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aop => "aop",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Hitch => "hitch",
        }
    }

    /// The layers that it can relay.
    pub(crate) fn layers(self) -> &'static [Layer] {
        match self {
            Self::Aop | Self::Haproxy => &Layer::ALL,
            // nginx has no HTTP/2 to upstreams that are not gRPC.
            Self::Nginx => &[Layer::Tcp, Layer::Http, Layer::Http2],
            Self::Hitch => &[Layer::Tcp],
        }
    }

    /// Its version text.
    ///
    /// # Errors
    /// When it is not installed.
    pub(crate) fn version(self) -> Result<String> {
        match self {
            Self::Aop => Aop::version(),
            Self::Nginx => rival::version("nginx", "-v"),
            Self::Haproxy => rival::version("haproxy", "-v"),
            Self::Hitch => rival::version("hitch", "--version"),
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A running server. It stops when dropped.
pub(crate) enum Server {
    Aop(Aop),
    Rival(Rival),
}

impl Server {
    pub(crate) fn start(product: Product, lab: &Lab, layer: Layer) -> Result<Self> {
        Ok(match product {
            Product::Aop => Self::Aop(Aop::start(lab, layer)?),
            Product::Nginx => Self::Rival(nginx::start(lab, layer)?),
            Product::Haproxy => Self::Rival(haproxy::start(lab, layer)?),
            Product::Hitch => Self::Rival(hitch::start(lab)?),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 443))
    }

    /// All its processes.
    pub(crate) fn processes(&self) -> Result<Vec<Process>> {
        match self {
            Self::Aop(aop) => aop.process()?.with_descendants(),
            Self::Rival(rival) => rival.process().with_descendants(),
        }
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Aop(aop) => aop.log(),
            Self::Rival(rival) => rival.log(),
        }
    }
}
