//! The confirmed or pending mode overrides of packets and sites, and their place before the
//! configuration.

use std::collections::BTreeMap;

use aop_api::{ModeChange, ModeTarget};
use aop_common::Mode;
use aop_config::{Config, Interfaces};
use aop_firewall::RenamedInterface;
use aop_types::Modes;
use jiff::Timestamp;

use super::sites::{self, ConfiguredModes, SiteOverrides};

/// The overrides. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModeOverrides {
    /// When they were last changed.
    pub(super) set_at: Timestamp,
    /// The value of firewall.mode, then and now.
    pub(super) configured: Mode,
    /// The general mode, where it differs from that.
    pub(super) general: Option<Mode>,
    pub(super) ports: BTreeMap<u16, Mode>,
    pub(super) interfaces: BTreeMap<String, Mode>,
    pub(super) sites: SiteOverrides,
}

impl ModeOverrides {
    /// The overrides after the command `change`, where there were those of `before` and the
    /// configuration is `configured`; `None` where none is left that differs from it.
    pub(super) fn with_command(
        before: Option<&Self>,
        change: &ModeChange,
        configured: &ConfiguredModes,
        now: Timestamp,
    ) -> Option<Self> {
        let mode = match change.to {
            ModeTarget::Observe => Some(Mode::Observe),
            ModeTarget::Enforce => Some(Mode::Enforce),
            ModeTarget::Default => None,
        };
        let of_sites = !change.sites.is_empty();
        let everything = change.ports.is_empty() && change.interfaces.is_empty() && !of_sites;
        let mut overrides = before
            .cloned()
            .unwrap_or_else(|| Self::of(configured.mode.into(), configured.mode, now));
        if everything {
            overrides.general = mode.filter(|mode| *mode != configured.mode);
            overrides.ports.clear();
            overrides.interfaces.clear();
        }
        if of_sites {
            sites::set(&mut overrides.sites, configured, mode);
        }
        for port in &change.ports {
            match mode {
                Some(mode) => overrides.ports.insert(*port, mode),
                None => overrides.ports.remove(port),
            };
        }
        for interface in &change.interfaces {
            match mode {
                Some(mode) => overrides.interfaces.insert(interface.clone(), mode),
                None => overrides.interfaces.remove(interface),
            };
        }
        if before != Some(&overrides) {
            overrides.set_at = now;
        }
        overrides.if_any()
    }

    /// The overrides that remain under `config`, and a log line for each that is dropped.
    pub(super) fn reconcile(mut self, config: &Config) -> (Option<Self>, Vec<String>) {
        let Config { fixed, live, .. } = config;
        let now = fixed.firewall.as_ref().map(|_| live.mode);
        let mut lost = Vec::new();
        if self.is_of_packets() && now != Some(self.configured) {
            lost.push(format!(
                "firewall.mode was {} when `aop mode` was run ({:.0}) and is {} now: the \
                 configuration counts, and the modes of `aop mode` are dropped",
                self.configured.name(),
                self.set_at,
                now.map_or("off", Mode::name),
            ));
            self.general = None;
            self.ports.clear();
            self.interfaces.clear();
        }
        self.configured = live.mode;
        lost.extend(sites::reconcile(&mut self.sites, live));
        self.ports.retain(|port, mode| {
            let guarded = live.ports.contains(*port);
            if !guarded {
                let mode = mode.name();
                lost.push(format!(
                    "port {port} is not guarded any more: its own mode {mode} is dropped"
                ));
            }
            guarded
        });
        // With `auto`, interfaces come and go, and keep their overrides.
        if let Interfaces::Named(names) = &live.interfaces {
            self.interfaces.retain(|name, mode| {
                let guarded = names.contains(name);
                if !guarded {
                    let mode = mode.name();
                    lost.push(format!(
                        "interface {name} is not guarded any more: its own mode {mode} is dropped"
                    ));
                }
                guarded
            });
        }
        (self.if_any(), lost)
    }

    /// The modes of interfaces follow their interfaces to new names. Where both names have one,
    /// enforce holds. Returns a log line for each that moves.
    pub(super) fn rename(&mut self, renamed: &[RenamedInterface]) -> Vec<String> {
        // All leave their old names first: two interfaces may have exchanged them.
        let taken = |it: &RenamedInterface| Some((it.clone(), self.interfaces.remove(&it.from)?));
        let taken: Vec<_> = renamed.iter().filter_map(taken).collect();
        let mut moved = Vec::new();
        for (RenamedInterface { from, to }, mode) in taken {
            let own = self.interfaces.get(&to).copied();
            let mode = if own == Some(Mode::Enforce) { Mode::Enforce } else { mode };
            let name = mode.name();
            moved.push(format!("interface {from} is {to} now, and keeps its own mode {name}"));
            self.interfaces.insert(to, mode);
        }
        moved
    }

    /// The overrides that change the configuration into `modes`.
    pub(super) fn of(modes: Modes, configured: Mode, set_at: Timestamp) -> Self {
        let Modes { general, ports, interfaces, sites: _ } = modes;
        let general = Some(general).filter(|general| *general != configured);
        Self { set_at, configured, general, ports, interfaces, sites: SiteOverrides::new() }
    }

    pub(super) fn if_any(self) -> Option<Self> {
        (self.is_of_packets() || !self.sites.is_empty()).then_some(self)
    }

    pub(super) fn is_of_packets(&self) -> bool {
        self.general.is_some() || !self.ports.is_empty() || !self.interfaces.is_empty()
    }

    pub(super) fn modes(&self) -> Modes {
        Modes {
            general: self.general.unwrap_or(self.configured),
            ports: self.ports.clone(),
            interfaces: self.interfaces.clone(),
            sites: self
                .sites
                .iter()
                .map(|(site, overrides)| (site.clone(), overrides.mode))
                .collect(),
        }
    }
}
