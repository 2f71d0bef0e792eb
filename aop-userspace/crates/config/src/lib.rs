//! The configuration: one TOML file, parsed into types that need no further checks.
//!
//! [`Config::load`] checks everything that can be known from the file alone, and [`warnings()`]
//! names what an operator should reconsider. Neither reads the files that are named there
//! (certificates, prefix lists), and nothing here acts on a setting. The settings that need a
//! restart ([`StartupConfig`]) and those that a reload may change ([`ReloadableConfig`]) are
//! separate types.

mod cloudflare;
mod edit;
mod error;
mod fleet;
mod host;
mod http;
mod list_url;
mod listeners;
mod monitor;
mod parse;
mod prefixes;
mod quoted;
mod rules;
mod secure_url;
mod shared_upstream;
mod sites;
#[cfg(test)]
mod tests;
mod toml_schema;
mod upstream;
mod upstream_check;
mod value;
mod warnings;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use aop_common::{Mode, layout::Ports};
pub use cloudflare::{ApiUrl, CloudflareConfig};
pub use edit::with_client_ca;
pub use error::ConfigError;
pub use fleet::{
    EtcdEndpoint, EtcdFiles, FleetConfig, FleetLabels, FleetName, FleetPrefix, OperatorKey,
};
pub use host::{Host, HostPattern};
pub use http::{ClientCertForwarding, ForwardedHeaders, HeaderNames, HttpConfig, OnRefusal};
use ipnet::IpNet;
pub use list_url::{ListUrl, Networks};
pub use listeners::ProxySenders;
pub use monitor::{MonitorAddress, MonitorConfig, StatusPage};
pub use prefixes::PrefixSource;
pub use quoted::quoted;
pub use rules::{
    CertificateRules, CrlScope, OnExpiry, RequiredKey, RequiredSan, Resumption, Revocation, SpkiPin,
};
pub use secure_url::SecureUrl;
use serde::Deserialize;
pub use shared_upstream::{UpstreamConflict, conflict};
pub use upstream::{HttpUpstream, HttpVersion, ProxyProtocol, Upstream, UpstreamAddress};
pub use upstream_check::UpstreamCheck;
pub use warnings::{FIREWALL_OBSERVES, Warning, site_observes, warnings};

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The settings that only a restart changes.
    pub fixed: StartupConfig,
    /// The settings that a reload may change.
    pub live: ReloadableConfig,
    /// The settings of the verbs that talk to Cloudflare's API.
    pub cloudflare: CloudflareConfig,
}

/// The settings that only a restart changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartupConfig {
    /// The firewall; `None` if its mode is off.
    pub firewall: Option<FirewallConfig>,
    /// The addresses to listen on. Empty if aop is only a firewall.
    pub listeners: Vec<SocketAddr>,
    /// The user of the sandboxed processes, if configured.
    pub user: Option<String>,
    /// The directories of this instance.
    pub paths: Paths,
    /// The limits on connections.
    pub limits: Limits,
    /// The group that may read the status on the read-only control socket, if configured.
    pub readers: Option<String>,
    /// The monitoring endpoint, if configured.
    pub monitor: Option<MonitorConfig>,
}

/// The limits on concurrent connections, and the number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Authenticated connections. At the limit, new ones wait in the kernel's accept queue.
    pub connections: usize,
    /// Pending handshakes. At the limit, a new one closes the oldest one.
    pub handshakes: usize,
    /// Pending handshakes of one address from which no peer has authenticated recently. At the
    /// limit, a new one closes the oldest one.
    pub per_peer: usize,
    /// Worker threads; `None` means one for each CPU.
    pub workers: Option<usize>,
}

/// How the firewall is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallConfig {
    /// The XDP mode.
    pub attach: AttachPreference,
}

/// The interfaces to guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interfaces {
    /// The Ethernet interfaces over which the host can be reached.
    Auto,
    /// The interfaces of these names.
    Named(Vec<String>),
}

impl Interfaces {
    /// The names in the configuration; `None` for `auto`.
    #[must_use]
    pub fn named(&self) -> Option<&[String]> {
        match self {
            Self::Named(names) => Some(names),
            Self::Auto => None,
        }
    }
}

/// The XDP mode: where in the kernel the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachPreference {
    /// Native if the driver supports it, otherwise generic.
    #[default]
    Auto,
    /// In the driver; an error if the driver does not support it.
    Native,
    /// In the network stack, after the driver.
    Generic,
}

/// The directories of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Pinned maps and links, on a bpffs.
    pub pins: PathBuf,
    /// Files that outlive a restart, such as the last good prefix list and the mode overrides.
    pub state: PathBuf,
    /// The control socket.
    pub runtime: PathBuf,
}

/// The settings that a reload may change.
#[derive(Clone, Debug)]
pub struct ReloadableConfig {
    /// The interfaces to guard; unused if the firewall is off.
    pub interfaces: Interfaces,
    /// Whether a packet with the verdict drop is dropped, or only counted.
    pub mode: Mode,
    /// The guarded ports.
    pub ports: Ports,
    /// The source of the admitted prefixes.
    pub prefixes: PrefixSource,
    /// The interval at which they are fetched again; `None` means never.
    pub refresh: Option<Duration>,
    /// Prefixes that are admitted in addition.
    pub extra: Vec<IpNet>,
    /// The treatment of UDP to a guarded port.
    pub udp: UdpPolicy,
    /// How long authenticated peers stay admitted after their prefix has left the list.
    pub drain: Duration,
    /// New connections per second that all unknown addresses share to authenticate; 0 means none.
    pub probation: u32,
    /// How long an address stays admitted after a peer authenticated from it.
    pub trust: Duration,
    /// New connections per second for an admitted network from which no peer has authenticated
    /// recently; 0 means no limit.
    pub budget: u32,
    /// The senders of PROXY headers.
    pub senders: ProxySenders,
    /// The sites.
    pub sites: Vec<SiteConfig>,
    /// The changes on disk that are loaded without a reload command.
    pub watch: WatchedFiles,
    /// The deadline for ClientHello, handshake and connecting to the upstream together.
    pub deadline: Duration,
    /// The fleet of this host, if configured.
    pub fleet: Option<FleetConfig>,
    /// The time that open connections have to finish after SIGTERM.
    pub shutdown: Duration,
    /// The same for a process that an upgrade has replaced, if this is longer.
    pub linger: Duration,
}

/// The treatment of UDP to a guarded port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UdpPolicy {
    /// It passes.
    #[default]
    Pass,
    /// It is dropped, whatever its source.
    Drop,
}

/// The changes on disk that are loaded without a reload command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchedFiles {
    /// Changes of the files that sites name.
    #[default]
    Files,
    /// Those, and changes of the configuration itself.
    All,
    /// None. A prefix list in a file is still followed.
    #[serde(rename = "off")]
    Nothing,
}

/// One site: its hosts, the peers that may connect, and its upstream.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// Its first host, which names the site in logs and status.
    pub name: String,
    /// The hosts that it serves.
    pub hosts: Vec<HostPattern>,
    /// The PEM file of the server certificate and its chain.
    pub certificate: PathBuf,
    /// The PEM file of its private key.
    pub key: PathBuf,
    /// The client CAs that issue the edge's certificate. Never empty.
    pub client_ca: Vec<ClientCa>,
    /// Further rules for the edge's certificate.
    pub rules: CertificateRules,
    /// The application that the site forwards to.
    pub upstream: Upstream,
    /// The health check of the upstream, if configured.
    pub check: Option<UpstreamCheck>,
    /// The PROXY header for the upstream.
    pub proxy: ProxyProtocol,
    /// The treatment of a peer without the right certificate.
    pub on_refusal: OnRefusal,
    /// Whether the operator allows sites that accept other peers to share the upstream.
    pub shared_upstream: bool,
}

/// A source of trust anchors for edge certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCa {
    /// Cloudflare's global CA, built in.
    CloudflareGlobal,
    /// A PEM file with one or more certificates.
    File(PathBuf),
}

/// A list is stale if its source has not confirmed it for this many refresh intervals.
const STALE_INTERVALS: u32 = 3;

impl ReloadableConfig {
    /// How long after the last confirmation by its source a list is stale; `None` if it is not
    /// refreshed.
    #[must_use]
    pub fn stale_after(&self) -> Option<Duration> {
        let fetched = self.prefixes.url().is_some();
        self.refresh.filter(|_| fetched).map(|refresh| refresh * STALE_INTERVALS)
    }

    /// The names of the sites, in order.
    #[must_use]
    pub fn site_names(&self) -> Vec<String> {
        self.sites.iter().map(|site| site.name.clone()).collect()
    }

    /// The site of this name or with this host pattern, otherwise the site that serves this host.
    #[must_use]
    pub fn site(&self, name: &str) -> Option<&SiteConfig> {
        let named = |site: &&SiteConfig| {
            site.name == name || site.hosts.iter().any(|host| host.to_string() == name)
        };
        let host = name.parse::<Host>().ok();
        let serves = |site: &&SiteConfig| {
            let host = host.as_ref();
            host.is_some_and(|host| site.hosts.iter().any(|pattern| pattern.matches(host)))
        };
        self.sites.iter().find(named).or_else(|| self.sites.iter().find(serves))
    }
}

impl Config {
    /// Reads and parses `file`.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has an unknown key or an invalid value. The error
    /// names file, line and remedy.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::parse(file, &Self::text(file)?)
    }

    /// Reads the text of `file` without parsing it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn text(file: &Path) -> Result<String, ConfigError> {
        std::fs::read_to_string(file)
            .map_err(|error| ConfigError::unreadable(file, "configuration", &error))
    }

    /// Reads only the paths, whatever else is wrong with `file`: so a running daemon can still be
    /// queried, and the firewall unloaded, while the file has an error.
    ///
    /// # Errors
    /// The file cannot be read, or is not TOML.
    pub fn paths(file: &Path) -> Result<Paths, ConfigError> {
        let text = Self::text(file)?;
        let raw: toml_schema::RawPathsOnly =
            toml::from_str(&text).map_err(|error| ConfigError::toml(file, &text, &error))?;
        Ok(parse::paths(raw.paths, &parse::SourceFile { file, text: &text }))
    }

    /// Reads only `[fleet]`, whatever else is in `file`: the workstation of an operator is no
    /// origin.
    ///
    /// # Errors
    /// The file cannot be read, or its `[fleet]` is not valid.
    pub fn fleet(file: &Path) -> Result<Option<FleetConfig>, ConfigError> {
        let text = Self::text(file)?;
        let raw: toml_schema::RawFleetOnly =
            toml::from_str(&text).map_err(|error| ConfigError::toml(file, &text, &error))?;
        fleet::read(raw.fleet.as_ref(), &parse::SourceFile { file, text: &text })
    }

    /// Parses `text`, the contents of `file`. Relative paths in it are relative to the directory of
    /// `file`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let raw = toml::from_str(text).map_err(|error| ConfigError::toml(file, text, &error))?;
        parse::config(raw, &parse::SourceFile { file, text })
    }
}
