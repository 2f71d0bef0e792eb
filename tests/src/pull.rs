//! Pulls with curl, as an edge sends them, or somebody who imitates one.
//!
//! A [`Pull`] defines the source host, the address, the URL and the client certificate. Every pull
//! has short timeouts, ignores the curl settings and proxies of the user, and reads the whole
//! response.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::lab::IpVersion;
use crate::pki::Credentials;
use crate::{Lab, Netns};

mod curl;

pub use curl::send_all;

/// How long a connection and handshake may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this time without an answer a pull has met silence: long enough for two SYNs.
const SILENCE: Duration = Duration::from_secs(2);

/// The TLS version that a pull requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsVersion {
    /// Both. A refusal must hold for both.
    pub const BOTH: [Self; 2] = [Self::V12, Self::V13];
}

/// A pull that has not been sent yet.
#[derive(Clone, Debug)]
pub struct Pull {
    from: Netns,
    to: SocketAddr,
    scheme: &'static str,
    host: String,
    path: String,
    anchors: PathBuf,
    credentials: Option<Credentials>,
    patience: Duration,
    options: Vec<String>,
    body: Vec<u8>,
}

impl Pull {
    /// A pull of `https://example.com/` by the edge with its certificate.
    #[must_use]
    pub fn by_edge(lab: &Lab, family: IpVersion) -> Self {
        Self::bare(lab, lab.edge(), family).certificate(&lab.pki.edge)
    }

    /// The same pull by the stranger, with a stolen copy of the certificate of the edge.
    #[must_use]
    pub fn by_stranger(lab: &Lab, family: IpVersion) -> Self {
        Self::bare(lab, lab.stranger(), family).certificate(&lab.pki.edge).brief()
    }

    /// A pull from `netns` without a client certificate.
    #[must_use]
    pub fn bare(lab: &Lab, netns: &Netns, family: IpVersion) -> Self {
        Self {
            from: netns.clone(),
            to: lab.origin_at(family, 443),
            scheme: "https",
            host: String::from("example.com"),
            path: String::from("/"),
            anchors: lab.pki.server_ca.clone(),
            credentials: None,
            patience: PATIENCE,
            options: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Presents this certificate.
    #[must_use]
    pub fn certificate(mut self, credentials: &Credentials) -> Self {
        self.credentials = Some(credentials.clone());
        self
    }

    /// Presents no certificate.
    #[must_use]
    pub fn no_certificate(mut self) -> Self {
        self.credentials = None;
        self
    }

    /// Requests `host`, in SNI and in the Host header.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// Requests the IP address, so that the client sends no SNI.
    #[must_use]
    pub fn no_name(mut self) -> Self {
        self.host = bracketed(self.to.ip());
        self.option("--insecure")
    }

    /// Requests `path`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// Connects to `port`.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.to.set_port(port);
        self
    }

    /// Sends HTTP without TLS.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.scheme = "http";
        self
    }

    /// Times out soon: for pulls that must meet silence.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.patience = SILENCE;
        self
    }

    /// Requires a TLS version.
    #[must_use]
    pub fn tls(self, version: TlsVersion) -> Self {
        match version {
            TlsVersion::V12 => self.option("--tls-max").option("1.2"),
            TlsVersion::V13 => self.option("--tlsv1.3"),
        }
    }

    /// Connects from `address`, an address of the source host.
    #[must_use]
    pub fn source(self, address: IpAddr) -> Self {
        self.option("--interface").option(&format!("host!{address}"))
    }

    /// Sends `body` with POST instead of GET.
    #[must_use]
    pub fn post(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self.option("--data-binary").option("@-").option("--header").option("Expect:")
    }

    /// Adds an option of curl.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }
}

/// An address as in a URL.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
