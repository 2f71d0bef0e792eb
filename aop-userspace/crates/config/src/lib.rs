//! The configuration: one TOML file, read into types that need no second look.
//!
//! [`Config::load`] reads and checks everything that can be known from the file alone. Files that
//! it names (certificates, prefix lists) are read by whoever uses them. What needs a restart
//! ([`Fixed`]) and what a reload may change ([`Live`]) are types of their own.

mod audit;
#[cfg(test)]
mod documents;
mod error;
mod host;
mod http;
mod list_url;
mod listeners;
mod monitor;
mod prefixes;
mod raw;
mod read;
mod rules;
mod shared;
mod sites;
mod upstream;
mod upstream_check;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use aop_common::{Mode, layout::Ports};
pub use audit::{OBSERVES, Warning, audit, lets_in_everybody};
pub use error::ConfigError;
pub use host::{Host, HostPattern};
pub use http::{ClientCert, Forwarded, HttpConfig, OnRefusal};
use ipnet::IpNet;
pub use list_url::ListUrl;
pub use listeners::ProxySenders;
pub use monitor::MonitorAddress;
pub use prefixes::PrefixSource;
pub use rules::{
    CrlScope, PastEnd, RequiredKey, RequiredSan, Resumption, Revocation, Rules, SpkiPin,
};
pub use shared::{Conflict, conflict};
pub use upstream::{Address, HttpUpstream, HttpVersion, ProxyProtocol, Upstream};
pub use upstream_check::UpstreamCheck;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// What only a restart changes.
    pub fixed: Fixed,
    /// What a reload may change.
    pub live: Live,
}

/// What only a restart changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The firewall, or `None` where its mode is off.
    pub firewall: Option<FirewallConfig>,
    /// The addresses to listen on. Empty where only a firewall is wanted.
    pub listeners: Vec<SocketAddr>,
    /// The user of the processes without privilege, where one is named.
    pub user: Option<String>,
    /// Where things lie.
    pub paths: Paths,
    /// How many connections at once.
    pub limits: Limits,
    /// The group that may ask how aop does on the control socket for reading, where one is named.
    pub readers: Option<String>,
    /// Where this host may ask how aop does.
    pub monitor: Option<MonitorAddress>,
}

/// How many connections there may be at once, and who serves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Those that have authenticated; while there are so many, more wait in the kernel's queue.
    pub connections: usize,
    /// Those that have not yet; one more, and the oldest makes room.
    pub handshakes: usize,
    /// Those of one address in which nobody has authenticated lately; likewise.
    pub per_peer: usize,
    /// The threads that serve them; as many as there are CPUs where none is named.
    pub workers: Option<usize>,
}

/// How the firewall is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallConfig {
    /// In which XDP mode.
    pub attach: Attach,
}

/// The interfaces to guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interfaces {
    /// Those that carry a default route.
    Auto,
    /// These, by name.
    Named(Vec<String>),
}

/// Where in the kernel the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// Native where the driver can, else generic.
    Auto,
    /// In the driver, or not at all.
    Native,
    /// Behind the driver.
    Generic,
}

/// Directories of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Pinned maps and links, on a bpffs.
    pub pins: PathBuf,
    /// What must outlive a restart: the last good prefix list.
    pub state: PathBuf,
    /// The control socket.
    pub runtime: PathBuf,
}

/// What a reload may change.
#[derive(Clone, Debug)]
pub struct Live {
    /// The interfaces to guard, where the firewall is not off.
    pub interfaces: Interfaces,
    /// How verdicts are carried out.
    pub mode: Mode,
    /// The ports that the firewall covers.
    pub ports: Ports,
    /// Where the admitted prefixes come from.
    pub prefixes: PrefixSource,
    /// How often they are fetched anew; `None` is never.
    pub refresh: Option<Duration>,
    /// Prefixes admitted beside them.
    pub extra: Vec<IpNet>,
    /// What becomes of UDP to a guarded port.
    pub udp: Udp,
    /// How long authenticated peers outlive a prefix that left the list.
    pub drain: Duration,
    /// New connections a second that strangers share to prove themselves; 0 for none.
    pub probation: u32,
    /// How long who has proven himself so is admitted.
    pub trust: Duration,
    /// New connections a second for an admitted network in which nobody has authenticated lately; 0
    /// for no limit.
    pub budget: u32,
    /// Who begins connections with a PROXY header.
    pub senders: ProxySenders,
    /// What is served, to whom.
    pub sites: Vec<SiteConfig>,
    /// Which changes on the disk are taken up without being told.
    pub watch: Watched,
    /// For ClientHello, handshake and upstream connect together.
    pub deadline: Duration,
    /// For open connections after SIGTERM.
    pub shutdown: Duration,
    /// For open connections of a process that an upgrade has replaced, where that is longer.
    pub linger: Duration,
}

/// What becomes of UDP to a guarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Udp {
    /// It passes.
    Pass,
    /// It is dropped, whoever sends it.
    Drop,
}

/// Which changes on the disk are taken up without being told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watched {
    /// Those of files that sites name.
    #[default]
    Files,
    /// Those, and the configuration's own.
    All,
    /// None. A prefix list in a file is followed all the same.
    Nothing,
}

/// One site: the hosts it answers for, who may connect, and where they get to.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// Its first host, as it stands in logs and status.
    pub name: String,
    /// The hosts it answers for.
    pub hosts: Vec<HostPattern>,
    /// The PEM file of the server certificate and its chain.
    pub certificate: PathBuf,
    /// The PEM file of its private key.
    pub key: PathBuf,
    /// The anchors that sign the edge's certificate. Never empty.
    pub client_ca: Vec<ClientCa>,
    /// What the edge's certificate must be beside that.
    pub rules: Rules,
    /// The application behind it.
    pub upstream: Upstream,
    /// Whether that application is asked if it is there, and how.
    pub check: Option<UpstreamCheck>,
    /// Which PROXY header the upstream gets.
    pub proxy: ProxyProtocol,
    /// What becomes of a peer without the right certificate.
    pub on_refusal: OnRefusal,
    /// Whether it is meant that its upstream takes bytes from sites that believe others.
    pub shared_upstream: bool,
}

/// A source of anchors for edge certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCa {
    /// Cloudflare's global anchor, built in.
    CloudflareGlobal,
    /// A PEM file with one certificate or several.
    File(PathBuf),
}

/// A list that was confirmed longer ago than this many refreshes is old.
const STALE: u32 = 3;

impl Live {
    /// How long after its source confirmed it a list is old; `None` where it is not fetched anew.
    #[must_use]
    pub fn stale_after(&self) -> Option<Duration> {
        let fetched = self.prefixes.url().is_some();
        self.refresh.filter(|_| fetched).map(|refresh| refresh * STALE)
    }

    /// What its sites are called, in their order.
    #[must_use]
    pub fn site_names(&self) -> Vec<String> {
        self.sites.iter().map(|site| site.name.clone()).collect()
    }

    /// The site of this name, or else the one that answers for this host.
    #[must_use]
    pub fn site(&self, name: &str) -> Option<&SiteConfig> {
        let named = |site: &&SiteConfig| {
            site.name == name || site.hosts.iter().any(|host| host.to_string() == name)
        };
        let host = name.parse::<Host>().ok();
        let answers = |site: &&SiteConfig| {
            let host = host.as_ref();
            host.is_some_and(|host| site.hosts.iter().any(|pattern| pattern.matches(host)))
        };
        self.sites.iter().find(named).or_else(|| self.sites.iter().find(answers))
    }
}

impl Config {
    /// Reads `file`.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, has an unknown key, or a value that makes no sense.
    /// The error names file, line and remedy.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::parse(file, &Self::text(file)?)
    }

    /// Reads `file`, and not yet what stands in it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn text(file: &Path) -> Result<String, ConfigError> {
        std::fs::read_to_string(file)
            .map_err(|error| ConfigError::unreadable(file, "configuration", &error))
    }

    /// Only where things lie, whatever else is wrong with `file`: a running daemon can then still be
    /// asked, and a firewall unloaded, while a broken edit waits to be mended.
    ///
    /// # Errors
    /// The file cannot be read, or is not TOML.
    pub fn paths(file: &Path) -> Result<Paths, ConfigError> {
        let text = Self::text(file)?;
        let raw: raw::RawPathsAlone =
            toml::from_str(&text).map_err(|error| ConfigError::toml(file, &text, &error))?;
        Ok(read::paths(raw.paths, &read::Place { file, text: &text }))
    }

    /// Reads a configuration from `text`, which lies in `file`. Relative paths in it are relative
    /// to the directory of `file`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let raw = toml::from_str(text).map_err(|error| ConfigError::toml(file, text, &error))?;
        read::config(raw, &read::Place { file, text })
    }
}
