//! The modes in force, as the status and `aop mode` show them.

use std::collections::BTreeMap;

use aop_common::Mode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{StrangerStatus, moment_text, names::stable_names, until_text};

/// The overrides of the general mode, and the cause of the mode in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModesReport {
    /// Guarded ports with a mode of their own. It takes precedence over that of the interface.
    pub ports: Vec<PortMode>,
    /// Interfaces with a mode of their own. It takes precedence over the general mode.
    pub interfaces: Vec<InterfaceMode>,
    /// Sites that observe or explain, and those with a mode override. All others refuse.
    #[serde(default)]
    pub sites: Vec<SiteMode>,
    /// When `aop mode` last changed a mode of packets; `null` where only the configuration counts,
    /// or no daemon runs and none has stored it.
    pub set_at: Option<Timestamp>,
    /// The value of firewall.mode; `null` where the configuration cannot be read.
    pub configured: Option<ModeName>,
    /// The override that waits for `aop confirm`; `null` where none does.
    #[serde(default)]
    pub pending: Option<PendingMode>,
}

/// A mode override that is reverted unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingMode {
    /// The mode in force until then: enforce.
    pub mode: ModeName,
    /// The ports that it concerns.
    pub ports: Vec<u16>,
    /// The interfaces that it concerns. Without ports, interfaces and sites: the general mode.
    pub interfaces: Vec<String>,
    /// The sites that it concerns.
    #[serde(default)]
    pub sites: Vec<String>,
    /// Number of authenticated pulls that confirm it, too; `null` where pulls do not.
    #[serde(default)]
    pub pulls: Option<u64>,
    /// How many of these were made; since the restart, if there was one.
    #[serde(default)]
    pub pulls_so_far: Option<u64>,
    /// The modes in force after a revert: the general mode and each override, such as `observe;
    /// port 443: enforce`.
    pub reverts_to: String,
    /// When it is reverted.
    pub until: Timestamp,
}

impl PendingMode {
    /// `enforcing for 4 min 59 s (until ...) unless ...`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { mode: _, ports, interfaces, sites, reverts_to, until, .. } = self;
        let ports = ports.iter().map(|port| format!("port {port}"));
        let interfaces = interfaces.iter().map(|name| format!("interface {name}"));
        let sites = sites.iter().map(|name| format!("site {name}"));
        let what: Vec<String> = ports.chain(interfaces).chain(sites).collect();
        let pulls = self.pulls.map_or(String::new(), |wanted| {
            let so_far = self.pulls_so_far.unwrap_or(0);
            format!(" or {wanted} pulls with the right certificate ({so_far} so far)")
        });
        let what = if what.is_empty() { String::new() } else { what.join(", ") + ": " };
        let until = until_text(*until, Timestamp::now());
        format!("{what}enforcing {until} unless `aop confirm`{pulls}; then {reverts_to}")
    }
}

/// The mode of a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMode {
    /// The TCP port.
    pub port: u16,
    /// Enforce or observe.
    pub mode: ModeName,
}

/// The mode of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceMode {
    /// Its name.
    pub name: String,
    /// Enforce or observe.
    pub mode: ModeName,
}

/// How a site treats unauthenticated peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteMode {
    /// Its name.
    pub site: String,
    /// Observe: they are relayed and counted; enforce: they are refused.
    pub mode: ModeName,
    /// The site's on_refusal; `null` where it is not known.
    pub configured: Option<OnRefusalName>,
    /// Whether `aop mode` set it.
    pub said: bool,
}

impl SiteMode {
    /// `site example.com: observe (...)`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { site, mode, configured, said } = self;
        let why = match (configured, said) {
            (Some(configured), true) => format!(
                " (set by `aop mode`; on_refusal is {configured}; `aop mode default --site {site}` \
                 removes the override)"
            ),
            (Some(configured), false) => format!(" (on_refusal is {configured})"),
            (None, _) => String::new(),
        };
        format!("site {site}: {mode}{why}")
    }
}

/// The answer of `aop mode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModesInForce {
    /// The general mode.
    pub mode: ModeName,
    /// The overrides.
    #[serde(flatten)]
    pub modes: ModesReport,
    /// Why a restart will lose the overrides; `null` where they are stored, or there are none.
    pub not_kept: Option<String>,
    /// Sources that sent many packets within the last day, and that this command has dropped from
    /// now on.
    #[serde(default)]
    pub newly_dropped: Vec<StrangerStatus>,
}

impl ModesReport {
    /// The overrides of `modes`.
    #[must_use]
    pub fn of(modes: &aop_types::Modes) -> Self {
        let aop_types::Modes { general: _, ports, interfaces, sites } = modes;
        let site = |(site, mode): (&String, &Mode)| SiteMode {
            site: site.clone(),
            mode: (*mode).into(),
            configured: None,
            said: true,
        };
        let port = |(port, mode): (&u16, &Mode)| PortMode { port: *port, mode: (*mode).into() };
        let interface = |(interface, mode): (&String, &Mode)| InterfaceMode {
            name: interface.clone(),
            mode: (*mode).into(),
        };
        Self {
            ports: ports.iter().map(port).collect(),
            interfaces: interfaces.iter().map(interface).collect(),
            sites: sites.iter().map(site).collect(),
            ..Self::default()
        }
    }

    /// Each override of packets as a line, such as `port 443: enforce`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let ports = self.ports.iter().map(|own| format!("port {}: {}", own.port, own.mode));
        let interfaces = self.interfaces.iter();
        let interfaces = interfaces.map(|own| format!("interface {}: {}", own.name, own.mode));
        ports.chain(interfaces).collect()
    }

    /// Warnings for the operator, where the general mode is `general`. Another module warns where
    /// no program is loaded.
    #[must_use]
    pub fn warnings(&self, general: &ModeName) -> Vec<String> {
        let mut warnings = Vec::new();
        let set = self.set_at.map_or(String::new(), |at| {
            format!(", set by `aop mode` {}", moment_text(at, Timestamp::now()))
        });
        let lasts = self.pending.is_none();
        let other = |it: &&ModeName| *it != general && *general != ModeName::Off && lasts;
        if let Some(configured) = self.configured.as_ref().filter(other) {
            warnings.push(format!(
                "{general} is in force{set}. The file still says {configured}: write firewall.mode \
                 = \"{general}\" there too, or remove the override with `aop mode default`"
            ));
        }
        let mut others: BTreeMap<&ModeName, Vec<String>> = BTreeMap::new();
        let ports = self.ports.iter().map(|own| (&own.mode, format!("port {}", own.port)));
        let interfaces = self.interfaces.iter();
        let interfaces = interfaces.map(|own| (&own.mode, format!("interface {}", own.name)));
        for (mode, what) in ports.chain(interfaces).filter(|(mode, _)| *mode != general) {
            others.entry(mode).or_default().push(what);
        }
        warnings.extend(others.into_iter().map(|(mode, what)| {
            format!(
                "the general mode is {general}, and {mode} for {}{set}; `aop mode default` removes \
                 the overrides",
                what.join(", ")
            )
        }));
        warnings
    }
}

stable_names! {
    /// How verdicts on packets are carried out.
    ModeName {
        /// Drops are carried out.
        Enforce = "enforce",
        /// Drops are counted, and the packets pass.
        Observe = "observe",
        /// There is no firewall.
        Off = "off",
    }
}

impl From<Mode> for ModeName {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Observe => Self::Observe,
        }
    }
}

stable_names! {
    /// The configured reaction of a site to an unauthenticated peer.
    OnRefusalName {
        /// The connection is closed.
        Close = "close",
        /// Requests are answered with an explanation.
        Explain = "explain",
        /// They are relayed and counted.
        Observe = "observe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modes_that_differ_are_warned_about_and_each_warning_names_the_remedy() {
        let mut modes = aop_types::Modes::from(Mode::Enforce);
        modes.ports.insert(443, Mode::Enforce);
        let mut shown =
            ModesReport { configured: Some(ModeName::Enforce), ..ModesReport::of(&modes) };
        assert_eq!(shown.warnings(&ModeName::Enforce), Vec::<String>::new());
        modes.ports.insert(8443, Mode::Observe);
        modes.interfaces.insert("eth1".to_owned(), Mode::Observe);
        shown = ModesReport { set_at: Some(Timestamp::UNIX_EPOCH), ..ModesReport::of(&modes) };
        shown.configured = Some(ModeName::Observe);
        let warnings = shown.warnings(&ModeName::Enforce);
        let [general, own] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(general.contains("firewall.mode = \"enforce\""), "{general}");
        assert!(general.contains("(1970-01-01 00:00 UTC)"), "{general}");
        assert!(own.contains("observe for port 8443, interface eth1"), "{own}");
        assert!(!own.contains("port 443"), "{own}");
    }
}
