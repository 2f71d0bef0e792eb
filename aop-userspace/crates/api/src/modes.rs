//! How drops are carried out, as the status and `aop mode` tell it. The names are stable: fields are
//! added, never renamed.

use std::collections::BTreeMap;

use aop_common::Mode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What differs from the general mode, and why that is what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// Guarded ports that have a mode of their own. It counts before their interface's.
    pub ports: Vec<PortMode>,
    /// Interfaces that have one. It counts before the general one.
    pub interfaces: Vec<InterfaceMode>,
    /// Sites that observe or explain, and those of which `aop mode` said something. All others refuse.
    #[serde(default)]
    pub sites: Vec<SiteMode>,
    /// When `aop mode` was last heard of packets; `null` where the configuration alone counts, or where no
    /// daemon runs and none has kept it.
    pub set_at: Option<Timestamp>,
    /// What firewall.mode says; `null` where the configuration cannot be read.
    pub configured: Option<String>,
    /// What waits for `aop confirm`; `null` where nothing does.
    #[serde(default)]
    pub pending: Option<PendingMode>,
}

/// A mode that ends by itself unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingMode {
    /// What is in force until then: `enforce`.
    pub mode: String,
    /// The ports that it was said of.
    pub ports: Vec<u16>,
    /// The interfaces that it was said of. Neither these nor ports nor sites: the general mode.
    pub interfaces: Vec<String>,
    /// The sites that it was said of.
    #[serde(default)]
    pub sites: Vec<String>,
    /// How many pulls with the right certificate confirm it, too; `null` where none does.
    #[serde(default)]
    pub pulls: Option<u64>,
    /// How many of these have come; since a restart where there was one.
    #[serde(default)]
    pub pulls_so_far: Option<u64>,
    /// What is in force then: the general mode and each own one, as `observe; port 443: enforce`.
    pub reverts_to: String,
    /// The moment.
    pub until: Timestamp,
}

impl PendingMode {
    /// `enforcing until 15:04:05 UTC unless ...`.
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
        format!(
            "{what}enforcing until {} UTC unless `aop confirm`{pulls}; then {reverts_to}",
            until.strftime("%H:%M:%S")
        )
    }
}

/// A port's own mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMode {
    /// The TCP port.
    pub port: u16,
    /// `enforce` or `observe`.
    pub mode: String,
}

/// An interface's own mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceMode {
    /// Its name.
    pub name: String,
    /// `enforce` or `observe`.
    pub mode: String,
}

/// How a site takes peers without the right certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteMode {
    /// Its name.
    pub site: String,
    /// `observe`: they are let in and counted; `enforce`: they are refused.
    pub mode: String,
    /// What its on_refusal says: `close`, `explain` or `observe`; `null` where that is not known.
    pub configured: Option<String>,
    /// Whether `aop mode` said so.
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
                 goes back to that)"
            ),
            (Some(configured), false) => format!(" (on_refusal is {configured})"),
            (None, _) => String::new(),
        };
        format!("site {site}: {mode}{why}")
    }
}

/// What `aop mode` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModesInForce {
    /// The general mode: `enforce`, `observe` or `off`.
    pub mode: String,
    /// The rest.
    #[serde(flatten)]
    pub modes: Modes,
    /// Why a restart will not know what was said; `null` where it will, or nothing was said.
    pub not_kept: Option<String>,
}

impl Modes {
    /// The own modes of `modes`.
    #[must_use]
    pub fn of(modes: &aop_types::Modes) -> Self {
        let aop_types::Modes { general: _, ports, interfaces, sites } = modes;
        let site = |(site, mode): (&String, &Mode)| SiteMode {
            site: site.clone(),
            mode: name(*mode),
            configured: None,
            said: true,
        };
        let port = |(port, mode): (&u16, &Mode)| PortMode { port: *port, mode: name(*mode) };
        let interface = |(interface, mode): (&String, &Mode)| InterfaceMode {
            name: interface.clone(),
            mode: name(*mode),
        };
        Self {
            ports: ports.iter().map(port).collect(),
            interfaces: interfaces.iter().map(interface).collect(),
            sites: sites.iter().map(site).collect(),
            ..Self::default()
        }
    }

    /// Each own mode of packets as a line, `port 443: enforce`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let ports = self.ports.iter().map(|own| format!("port {}: {}", own.port, own.mode));
        let interfaces = self.interfaces.iter();
        let interfaces = interfaces.map(|own| format!("interface {}: {}", own.name, own.mode));
        ports.chain(interfaces).collect()
    }

    /// What an operator should know, where the general mode is `general`. That nothing is loaded is
    /// told elsewhere.
    #[must_use]
    pub fn warnings(&self, general: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        let set = self.set_at.map_or(String::new(), |at| format!(", set by `aop mode` at {at:.0}"));
        let lasts = self.pending.is_none();
        let other = |it: &&str| *it != general && general != "off" && lasts;
        if let Some(configured) = self.configured.as_deref().filter(other) {
            warnings.push(format!(
                "the mode is {general}, and the configuration says {configured}{set}; write \
                 firewall.mode = {general:?} into the configuration to make it last, or `aop mode \
                 default`"
            ));
        }
        let mut others: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let ports = self.ports.iter().map(|own| (&own.mode, format!("port {}", own.port)));
        let interfaces = self.interfaces.iter();
        let interfaces = interfaces.map(|own| (&own.mode, format!("interface {}", own.name)));
        for (mode, what) in ports.chain(interfaces).filter(|(mode, _)| *mode != general) {
            others.entry(mode).or_default().push(what);
        }
        warnings.extend(others.into_iter().map(|(mode, what)| {
            format!(
                "the general mode is {general}, and {mode} for {}{set}; `aop mode default` makes it \
                 one again",
                what.join(", ")
            )
        }));
        warnings
    }
}

/// How a mode is called.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}

fn name(mode: Mode) -> String {
    mode_name(mode).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_with_the_remedy_and_what_does_not_is_not() {
        let mut modes = aop_types::Modes::from(Mode::Enforce);
        modes.ports.insert(443, Mode::Enforce);
        let mut told = Modes { configured: Some("enforce".to_owned()), ..Modes::of(&modes) };
        assert_eq!(told.warnings("enforce"), Vec::<String>::new());
        modes.ports.insert(8443, Mode::Observe);
        modes.interfaces.insert("eth1".to_owned(), Mode::Observe);
        told = Modes { set_at: Some(Timestamp::UNIX_EPOCH), ..Modes::of(&modes) };
        told.configured = Some("observe".to_owned());
        let warnings = told.warnings("enforce");
        let [word, own] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(word.contains("firewall.mode = \"enforce\"") && word.contains("1970"), "{word}");
        assert!(own.contains("observe for port 8443, interface eth1"), "{own}");
        assert!(!own.contains("port 443"), "{own}");
    }
}
