//! Pulls with curl, as an edge would make them, or somebody who plays one.
//!
//! A [`Pull`] says who pulls what from which address with which certificate. Every pull has short
//! deadlines, ignores the caller's curl settings and proxies, and reads the whole answer.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::lab::Family;
use crate::pki::Identity;
use crate::{Place, World};

mod curl;

pub use curl::send_all;

/// How long a connection and handshake may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon the absence of an answer is called silence: long enough for two SYNs.
const SILENCE: Duration = Duration::from_secs(2);

/// The TLS version that a pull insists on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl Tls {
    /// Both, as every refusal must hold in both.
    pub const BOTH: [Self; 2] = [Self::V12, Self::V13];
}

/// One pull, yet to be made.
#[derive(Clone, Debug)]
pub struct Pull {
    from: Place,
    to: SocketAddr,
    scheme: &'static str,
    host: String,
    path: String,
    anchors: PathBuf,
    identity: Option<Identity>,
    patience: Duration,
    options: Vec<String>,
    body: Vec<u8>,
}

impl Pull {
    /// A pull of `https://example.com/` by the edge with its own certificate.
    #[must_use]
    pub fn by_edge(world: &World, family: Family) -> Self {
        Self::bare(world, world.edge(), family).certificate(&world.pki.edge)
    }

    /// The same by the stranger, who has stolen the edge's certificate.
    #[must_use]
    pub fn by_stranger(world: &World, family: Family) -> Self {
        Self::bare(world, world.stranger(), family).certificate(&world.pki.edge).brief()
    }

    /// A pull from `place` without any certificate.
    #[must_use]
    pub fn bare(world: &World, place: &Place, family: Family) -> Self {
        Self {
            from: place.clone(),
            to: world.origin_at(family, 443),
            scheme: "https",
            host: String::from("example.com"),
            path: String::from("/"),
            anchors: world.pki.server_ca.clone(),
            identity: None,
            patience: PATIENCE,
            options: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Presents `identity`.
    #[must_use]
    pub fn certificate(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Presents nothing.
    #[must_use]
    pub fn no_certificate(mut self) -> Self {
        self.identity = None;
        self
    }

    /// Asks for `host`, in SNI and Host alike.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// Asks by the bare address: a TLS client sends no SNI then.
    #[must_use]
    pub fn no_name(mut self) -> Self {
        self.host = bracketed(self.to.ip());
        self.option("--insecure")
    }

    /// Asks for `path`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// Goes to `port`.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.to.set_port(port);
        self
    }

    /// Speaks HTTP without TLS.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.scheme = "http";
        self
    }

    /// Gives up soon, for pulls that are to meet silence.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.patience = SILENCE;
        self
    }

    /// Insists on a TLS version.
    #[must_use]
    pub fn tls(self, version: Tls) -> Self {
        match version {
            Tls::V12 => self.option("--tls-max").option("1.2"),
            Tls::V13 => self.option("--tlsv1.3"),
        }
    }

    /// Speaks from `address`, one of the place's own.
    #[must_use]
    pub fn source(self, address: IpAddr) -> Self {
        self.option("--interface").option(&format!("host!{address}"))
    }

    /// Posts `body` instead of getting.
    #[must_use]
    pub fn post(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self.option("--data-binary").option("@-").option("--header").option("Expect:")
    }

    /// Any other option of curl.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }
}

/// An address as a URL has it.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
