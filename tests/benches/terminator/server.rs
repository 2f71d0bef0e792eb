//! The servers: which there are, and one of them while it runs.

use std::{fmt, net::SocketAddr};

use anyhow::Result;
use aop_tests::{Process, World};

use crate::{
    aop::Aop,
    haproxy, hitch, nginx, processes,
    rival::{self, Rival},
};

/// Where every server listens, and where all send what they admit.
pub(crate) const LISTEN: &str = "127.0.0.1:443";
pub(crate) const UPSTREAM: &str = "127.0.0.1:8080";

/// What is relayed: bytes or requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Tcp,
    Http,
}

impl Layer {
    pub(crate) const BOTH: [Self; 2] = [Self::Tcp, Self::Http];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
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

    /// What it can relay.
    pub(crate) fn layers(self) -> &'static [Layer] {
        match self {
            Self::Aop | Self::Nginx | Self::Haproxy => &Layer::BOTH,
            Self::Hitch => &[Layer::Tcp],
        }
    }

    /// What it says of itself.
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

/// One that runs. Ends when dropped.
pub(crate) enum Server {
    Aop(Aop),
    Rival(Rival),
}

impl Server {
    pub(crate) fn start(product: Product, world: &World, layer: Layer) -> Result<Self> {
        Ok(match product {
            Product::Aop => Self::Aop(Aop::start(world, layer)?),
            Product::Nginx => Self::Rival(nginx::start(world, layer)?),
            Product::Haproxy => Self::Rival(haproxy::start(world, layer)?),
            Product::Hitch => Self::Rival(hitch::start(world)?),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 443))
    }

    /// All its processes.
    pub(crate) fn processes(&self) -> Result<Vec<Process>> {
        processes::below(match self {
            Self::Aop(aop) => aop.process()?,
            Self::Rival(rival) => rival.process(),
        })
    }

    /// What it has complained of.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Aop(aop) => aop.log(),
            Self::Rival(rival) => rival.log(),
        }
    }
}
