//! The structure of the TOML file. Unknown keys are refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::{AttachPreference, UdpPolicy, WatchedFiles};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConfig {
    #[serde(default)]
    pub(crate) firewall: RawFirewall,
    #[serde(default)]
    pub(crate) prefixes: RawPrefixes,
    #[serde(default)]
    pub(crate) admission: RawAdmission,
    #[serde(default)]
    pub(crate) terminator: RawTerminator,
    #[serde(default)]
    pub(crate) paths: RawPaths,
    #[serde(default)]
    pub(crate) limits: RawLimits,
    #[serde(default)]
    pub(crate) reload: RawReload,
    #[serde(default)]
    pub(crate) monitor: RawMonitor,
    #[serde(default)]
    pub(crate) control: RawControl,
    #[serde(default)]
    pub(crate) cloudflare: RawCloudflare,
    pub(crate) fleet: Option<Spanned<RawFleet>>,
    #[serde(default)]
    pub(crate) listener: Vec<RawListener>,
    #[serde(default)]
    pub(crate) site: Vec<RawSite>,
}

/// The same file, of which only the sites are read.
#[derive(Deserialize)]
pub(crate) struct RawSitesOnly {
    #[serde(default)]
    pub(crate) site: Vec<RawSite>,
}

/// The same file, of which only the paths are read.
#[derive(Deserialize)]
pub(crate) struct RawPathsOnly {
    #[serde(default)]
    pub(crate) paths: RawPaths,
}

/// The same file, of which only the fleet is read.
#[derive(Deserialize)]
pub(crate) struct RawFleetOnly {
    pub(crate) fleet: Option<Spanned<RawFleet>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFirewall {
    #[serde(default)]
    pub(crate) mode: RawMode,
    pub(crate) interfaces: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(crate) attach: AttachPreference,
    #[serde(default)]
    pub(crate) extra: Vec<Spanned<String>>,
    pub(crate) ports: Option<Spanned<Vec<u16>>>,
    #[serde(default)]
    pub(crate) udp: UdpPolicy,
}

/// `firewall.mode`. The default is observe, so that a first start blocks nobody.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawMode {
    #[default]
    Observe,
    Enforce,
    Off,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPrefixes {
    /// `cloudflare`, a URL, a path, or a list of CIDRs.
    pub(crate) source: Option<Spanned<toml::Value>>,
    pub(crate) refresh: Option<Spanned<String>>,
    pub(crate) url: Option<Spanned<String>>,
    pub(crate) networks: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAdmission {
    pub(crate) drain: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) probation_syn: u32,
    pub(crate) trust: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) budget_syn: u32,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTerminator {
    pub(crate) user: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPaths {
    pub(crate) pins: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) runtime: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLimits {
    pub(crate) connections: Option<Spanned<usize>>,
    pub(crate) handshakes: Option<Spanned<usize>>,
    pub(crate) per_peer: Option<Spanned<usize>>,
    pub(crate) workers: Option<Spanned<usize>>,
    pub(crate) deadline: Option<Spanned<String>>,
    pub(crate) drain: Option<Spanned<String>>,
    pub(crate) linger: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawReload {
    #[serde(default)]
    pub(crate) watch: WatchedFiles,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMonitor {
    pub(crate) listen: Option<Spanned<String>>,
    pub(crate) page: Option<Spanned<bool>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawControl {
    pub(crate) readers: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCloudflare {
    pub(crate) token_file: Option<String>,
    pub(crate) api: Option<Spanned<String>>,
    pub(crate) renew: Option<Spanned<String>>,
    pub(crate) ca: Option<String>,
    pub(crate) ca_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFleet {
    pub(crate) endpoints: Spanned<Vec<Spanned<String>>>,
    pub(crate) ca: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) prefix: Option<Spanned<String>>,
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) labels: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    pub(crate) operators: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawListener {
    pub(crate) bind: Vec<Spanned<String>>,
    pub(crate) proxy_from: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSite {
    pub(crate) hosts: Spanned<Vec<Spanned<String>>>,
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) client_ca: Spanned<Vec<Spanned<String>>>,
    pub(crate) require_san: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) require_cn: Option<Spanned<String>>,
    pub(crate) require_key: Option<Spanned<String>>,
    pub(crate) spki_pins: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) crl: Option<Spanned<Vec<String>>>,
    pub(crate) crl_scope: Option<Spanned<String>>,
    pub(crate) crl_expired: Option<Spanned<String>>,
    pub(crate) expired_ca: Option<Spanned<String>>,
    pub(crate) resumption: Option<Spanned<String>>,
    pub(crate) upstream: Spanned<String>,
    #[serde(default)]
    pub(crate) shared_upstream: bool,
    pub(crate) upstream_check: Option<Spanned<toml::Value>>,
    pub(crate) proxy: Option<Spanned<String>>,
    pub(crate) proxy_certificate: Option<Spanned<bool>>,
    pub(crate) on_refusal: Option<Spanned<String>>,
    pub(crate) http: Option<Spanned<RawHttp>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHttp {
    #[serde(default)]
    pub(crate) also_hosts: Vec<Spanned<String>>,
    pub(crate) forwarded: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) client_cert: bool,
    pub(crate) header_names: Option<Spanned<String>>,
    pub(crate) answer: Option<Spanned<String>>,
    pub(crate) idle: Option<Spanned<String>>,
    pub(crate) stall: Option<Spanned<String>>,
    pub(crate) requests: Option<Spanned<usize>>,
    pub(crate) tunnels: Option<Spanned<usize>>,
}
