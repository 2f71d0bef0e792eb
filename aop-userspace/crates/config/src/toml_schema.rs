//! The structure of the TOML file. Unknown keys are refused.

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(default)]
    pub(super) firewall: RawFirewall,
    #[serde(default)]
    pub(super) prefixes: RawPrefixes,
    #[serde(default)]
    pub(super) admission: RawAdmission,
    #[serde(default)]
    pub(super) terminator: RawTerminator,
    #[serde(default)]
    pub(super) paths: RawPaths,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) reload: RawReload,
    #[serde(default)]
    pub(super) monitor: RawMonitor,
    #[serde(default)]
    pub(super) control: RawControl,
    #[serde(default)]
    pub(super) listener: Vec<RawListener>,
    #[serde(default)]
    pub(super) site: Vec<RawSite>,
}

/// The same file, of which only the paths are read.
#[derive(Deserialize)]
pub(super) struct RawPathsAlone {
    #[serde(default)]
    pub(super) paths: RawPaths,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFirewall {
    #[serde(default)]
    pub(super) mode: RawMode,
    pub(super) interfaces: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) attach: RawAttach,
    #[serde(default)]
    pub(super) extra: Vec<Spanned<String>>,
    pub(super) ports: Option<Spanned<Vec<u16>>>,
    #[serde(default)]
    pub(super) udp: RawUdp,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawUdp {
    #[default]
    Pass,
    Drop,
}

/// The default is observe, so that a first start blocks nobody.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawMode {
    #[default]
    Observe,
    Enforce,
    Off,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawAttach {
    #[default]
    Auto,
    Native,
    Generic,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrefixes {
    /// `cloudflare`, a URL, a path, or a list of CIDRs.
    pub(super) source: Option<Spanned<toml::Value>>,
    pub(super) refresh: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    pub(super) networks: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmission {
    pub(super) drain: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) probation_syn: u32,
    pub(super) trust: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) budget_syn: u32,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTerminator {
    pub(super) user: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPaths {
    pub(super) pins: Option<String>,
    pub(super) state: Option<String>,
    pub(super) runtime: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) connections: Option<Spanned<usize>>,
    pub(super) handshakes: Option<Spanned<usize>>,
    pub(super) per_peer: Option<Spanned<usize>>,
    pub(super) workers: Option<Spanned<usize>>,
    pub(super) deadline: Option<Spanned<String>>,
    pub(super) drain: Option<Spanned<String>>,
    pub(super) linger: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReload {
    #[serde(default)]
    pub(super) watch: RawWatch,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMonitor {
    pub(super) listen: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawControl {
    pub(super) readers: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawWatch {
    #[default]
    Files,
    All,
    Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListener {
    pub(super) bind: Vec<Spanned<String>>,
    pub(super) proxy_from: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSite {
    pub(super) hosts: Spanned<Vec<Spanned<String>>>,
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) client_ca: Spanned<Vec<Spanned<String>>>,
    pub(super) require_san: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) require_cn: Option<Spanned<String>>,
    pub(super) require_key: Option<Spanned<String>>,
    pub(super) spki_pins: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) crl: Option<Spanned<Vec<String>>>,
    pub(super) crl_scope: Option<Spanned<String>>,
    pub(super) crl_expired: Option<Spanned<String>>,
    pub(super) expired_ca: Option<Spanned<String>>,
    pub(super) resumption: Option<Spanned<String>>,
    pub(super) upstream: Spanned<String>,
    #[serde(default)]
    pub(super) shared_upstream: bool,
    pub(super) upstream_check: Option<Spanned<toml::Value>>,
    pub(super) proxy: Option<Spanned<String>>,
    pub(super) proxy_certificate: Option<Spanned<bool>>,
    pub(super) on_refusal: Option<Spanned<String>>,
    pub(super) http: Option<Spanned<RawHttp>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    #[serde(default)]
    pub(super) also_hosts: Vec<Spanned<String>>,
    pub(super) forwarded: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) client_cert: bool,
    pub(super) answer: Option<Spanned<String>>,
    pub(super) idle: Option<Spanned<String>>,
    pub(super) stall: Option<Spanned<String>>,
    pub(super) requests: Option<Spanned<usize>>,
}
