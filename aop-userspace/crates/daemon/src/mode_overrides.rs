//! Mode overrides set with `aop mode`, for packets and for sites. They take precedence over the
//! configuration and are kept in `paths.state`. Whichever came last wins, the command or a changed
//! file: a configuration with another `firewall.mode` than before removes the overrides of packets.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use aop_api::{ModeChange, ModeTarget, PendingMode, SiteMode, mode_name};
use aop_common::Mode;
use aop_config::{Config, Interfaces, ReloadableConfig, SiteConfig};
use aop_types::Modes;
use file::OverridesFile;
use jiff::Timestamp;
use pending::PendingOverride;
pub(super) use sites::ConfiguredModes;
use sites::SiteOverrides;

mod file;
mod pending;
mod sites;

const NAME: &str = "modes.json";

/// The overrides. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModeOverrides {
    /// When they were last changed.
    pub(super) set_at: Timestamp,
    /// The value of firewall.mode, then and now.
    configured: Mode,
    /// The general mode, where it differs from that.
    general: Option<Mode>,
    ports: BTreeMap<u16, Mode>,
    interfaces: BTreeMap<String, Mode>,
    sites: SiteOverrides,
}

/// Why the file of overrides cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum OverrideFileError {
    /// The file is malformed.
    #[error(
        "{}: the file of `aop mode` is damaged ({message}) and is ignored: packets keep the modes \
         in force, or get those of the configuration at boot, and every site refuses. Set the \
         modes again with `aop mode`, or remove the file", .path.display()
    )]
    Broken { path: PathBuf, message: String },
    /// The file cannot be read.
    #[error(
        "{}: cannot read the file of `aop mode`: {error}; packets keep the modes in force, or get \
         those of the configuration at boot, and every site refuses",
        .path.display()
    )]
    Unreadable { path: PathBuf, error: io::Error },
    /// The file cannot be written.
    #[error(
        "{}: cannot store the modes that `aop mode` has set: {error}. Correct paths.state, its \
         permissions or its disk", .path.display()
    )]
    Unwritable { path: PathBuf, error: io::Error },
}

impl ModeOverrides {
    /// The overrides after the command `said`, where there were those of `before` and the
    /// configuration is `configured`; `None` where none is left that differs from it.
    pub(super) fn with_command(
        before: Option<&Self>,
        said: &ModeChange,
        configured: &ConfiguredModes,
        now: Timestamp,
    ) -> Option<Self> {
        let mode = match said.to {
            ModeTarget::Observe => Some(Mode::Observe),
            ModeTarget::Enforce => Some(Mode::Enforce),
            ModeTarget::Default => None,
        };
        let of_sites = !said.sites.is_empty();
        let everything = said.ports.is_empty() && said.interfaces.is_empty() && !of_sites;
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
        for port in &said.ports {
            match mode {
                Some(mode) => overrides.ports.insert(*port, mode),
                None => overrides.ports.remove(port),
            };
        }
        for interface in &said.interfaces {
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
    fn reconcile(mut self, config: &Config) -> (Option<Self>, Vec<String>) {
        let Config { fixed, live, .. } = config;
        let now = fixed.firewall.as_ref().map(|_| live.mode);
        let mut lost = Vec::new();
        if self.is_of_packets() && now != Some(self.configured) {
            lost.push(format!(
                "firewall.mode was {} when `aop mode` was run ({:.0}) and is {} now: the \
                 configuration counts, and the modes of `aop mode` are dropped",
                mode_name(self.configured),
                self.set_at,
                now.map_or("off", mode_name),
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
                let mode = mode_name(*mode);
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
                    let mode = mode_name(*mode);
                    lost.push(format!(
                        "interface {name} is not guarded any more: its own mode {mode} is dropped"
                    ));
                }
                guarded
            });
        }
        (self.if_any(), lost)
    }

    /// The overrides that change the configuration into `modes`.
    fn of(modes: Modes, configured: Mode, set_at: Timestamp) -> Self {
        let Modes { general, ports, interfaces, sites: _ } = modes;
        let general = Some(general).filter(|general| *general != configured);
        Self { set_at, configured, general, ports, interfaces, sites: SiteOverrides::new() }
    }

    fn if_any(self) -> Option<Self> {
        (self.is_of_packets() || !self.sites.is_empty()).then_some(self)
    }

    fn is_of_packets(&self) -> bool {
        self.general.is_some() || !self.ports.is_empty() || !self.interfaces.is_empty()
    }

    fn modes(&self) -> Modes {
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

/// The overrides, a pending one, and the state of their file.
#[derive(Clone, Debug, Default)]
pub(super) struct OverrideState {
    pub(super) overrides: Option<ModeOverrides>,
    /// Set while an override waits for a confirmation.
    pending: Option<PendingOverride>,
    /// Why the file cannot be read or written.
    pub(super) trouble: Option<String>,
}

impl OverrideState {
    /// The stored overrides. If the file cannot be read, packets keep the modes in the maps, and no
    /// site observes: a damaged file must not weaken what is in force.
    pub(super) fn load(config: &Config) -> Self {
        let Config { fixed, live, .. } = config;
        let mut state = Self::stored(&fixed.paths.state);
        if state.trouble.is_some() {
            let pinned = aop_firewall::read(&fixed.paths.pins, None).ok().flatten();
            let modes = pinned.map_or_else(|| live.mode.into(), |it| it.modes);
            let overrides = ModeOverrides::of(modes, live.mode, Timestamp::now());
            state.overrides =
                ModeOverrides { sites: sites::all_refusing(live), ..overrides }.if_any();
        }
        state
    }

    fn stored(state: &Path) -> Self {
        match read(state) {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!("{error}");
                Self { trouble: Some(error.to_string()), ..Self::default() }
            }
        }
    }

    /// The overrides that remain under `config` now, and a log line for each that is dropped.
    pub(super) fn reconcile(mut self, config: &Config) -> (Self, Vec<String>) {
        let mut lost = Vec::new();
        if self.is_expired() {
            lost.extend(self.revert());
        }
        let Self { overrides, pending, trouble } = self;
        let waited = pending.is_some();
        let pending = pending.and_then(|pending| pending.reconcile(config));
        if waited && pending.is_none() {
            lost.push("the override that waited for `aop confirm` is dropped".to_owned());
        }
        let (overrides, by_config) =
            overrides.map_or((None, Vec::new()), |overrides| overrides.reconcile(config));
        lost.extend(by_config);
        (Self { overrides, pending, trouble }, lost)
    }

    /// The overrides after the command `said`. An unconfirmed override does not count: the command
    /// starts from what was there before.
    ///
    /// # Errors
    /// Why the command cannot wait for a confirmation.
    pub(super) fn with_command(
        &self,
        said: &ModeChange,
        configured: impl Into<ConfiguredModes>,
        now: (Timestamp, Instant),
    ) -> Result<Self, &'static str> {
        let (configured, before) = (&configured.into(), self.confirmed());
        let overrides = ModeOverrides::with_command(before, said, configured, now.0);
        let pending = PendingOverride::begin(said, before, configured, now)?;
        let pending = pending.filter(|_| overrides.as_ref() != before);
        Ok(Self { overrides, pending, trouble: None })
    }

    /// The confirmed overrides.
    fn confirmed(&self) -> Option<&ModeOverrides> {
        match &self.pending {
            Some(pending) => pending.reverts_to.as_ref(),
            None => self.overrides.as_ref(),
        }
    }

    /// Confirms the pending override. Returns whether there was one.
    pub(super) fn confirm(&mut self) -> bool {
        self.pending.take().is_some()
    }

    /// When the override was set that waits for pulls, if there is one.
    pub(super) fn waits_for_pulls(&self) -> Option<Timestamp> {
        self.pending
            .as_ref()
            .filter(|pending| pending.waits_for_pulls())
            .map(|pending| pending.set_at)
    }

    /// Counts the pulls `served` by each site. Enough of them confirm the override: a log line.
    pub(super) fn count_pulls(&mut self, served: &[(String, u64)]) -> Option<String> {
        let line = self.pending.as_mut()?.count_pulls(served)?;
        self.pending = None;
        Some(line)
    }

    /// Whether the deadline of the pending override has passed.
    pub(super) fn is_expired(&self) -> bool {
        let now = (Timestamp::now(), Instant::now());
        self.pending.as_ref().is_some_and(|pending| pending.is_expired(now))
    }

    /// Reverts the pending override, and returns a log line.
    pub(super) fn revert(&mut self) -> Option<String> {
        let pending = self.pending.take()?;
        let PendingMode { reverts_to, until, .. } = pending.document();
        self.overrides = pending.reverts_to;
        Some(format!(
            "`aop mode enforce` was not confirmed by {until:.0}: reverted to {reverts_to}"
        ))
    }

    /// The override that waits for a confirmation.
    pub(super) fn pending(&self) -> Option<PendingMode> {
        self.pending.as_ref().map(PendingOverride::document)
    }

    /// When overrides of packets were last changed, if there are any.
    pub(super) fn set_at(&self) -> Option<Timestamp> {
        self.overrides
            .as_ref()
            .filter(|overrides| overrides.is_of_packets())
            .map(|overrides| overrides.set_at)
    }

    /// The sites of `live` with their overrides.
    pub(super) fn sites(&self, live: &ReloadableConfig) -> Vec<SiteConfig> {
        match &self.overrides {
            Some(overrides) => sites::with_overrides(&overrides.sites, live),
            None => live.sites.clone(),
        }
    }

    /// The modes of sites that observe, explain or have an override.
    pub(super) fn site_modes(&self, live: &ReloadableConfig) -> Vec<SiteMode> {
        match &self.overrides {
            Some(overrides) => sites::site_modes(&overrides.sites, live),
            None => sites::site_modes(&SiteOverrides::new(), live),
        }
    }

    /// The modes in force, where firewall.mode is `configured`.
    pub(super) fn modes(&self, configured: Mode) -> Modes {
        self.overrides.as_ref().map_or_else(|| configured.into(), ModeOverrides::modes)
    }

    /// Logs the remaining and the `lost` overrides, and removes the latter from the file.
    pub(super) fn log_and_drop(&mut self, state: &Path, lost: &[String]) {
        if let Some(overrides) = &self.overrides {
            let modes = overrides.modes();
            let mut lines = vec![format!("mode {}", mode_name(modes.general))];
            let of = aop_api::ModesReport::of(&modes);
            lines.extend(of.lines().into_iter().chain(of.sites.iter().map(SiteMode::line)));
            let lines = lines.join("; ");
            tracing::warn!(
                "in force by `aop mode` since {:.0}, before the configuration: {lines}",
                overrides.set_at
            );
        }
        lost.iter().for_each(|lost| tracing::warn!("{lost}"));
        if !lost.is_empty()
            && let Err(error) = self.store(state)
        {
            tracing::warn!("{error}");
        }
    }

    /// Writes the overrides to the file in `state`.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub(super) fn store(&mut self, state: &Path) -> Result<(), OverrideFileError> {
        let stored = match OverridesFile::of_all(self) {
            Some(file) => file.text().and_then(|text| aop_storage::write(state, NAME, &text)),
            None => aop_storage::remove(state, NAME),
        };
        let stored =
            stored.map_err(|error| OverrideFileError::Unwritable { path: state.join(NAME), error });
        self.trouble = stored.as_ref().err().map(ToString::to_string);
        stored
    }
}

/// When `aop mode` last changed the modes of packets, and the override that waits for a
/// confirmation, from the file in `state`. Neither where it cannot be read.
#[must_use]
pub fn stored_overrides(state: &Path) -> (Option<Timestamp>, Option<PendingMode>) {
    let state = read(state).unwrap_or_default();
    (state.set_at(), state.pending())
}

/// The overrides in `state`.
fn read(state: &Path) -> Result<OverrideState, OverrideFileError> {
    let path = state.join(NAME);
    let text = match aop_storage::read(state, NAME) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(OverrideState::default()),
        Err(error) => return Err(OverrideFileError::Unreadable { path, error }),
    };
    match serde_json::from_slice::<OverridesFile>(&text) {
        Ok(document) => Ok(document.state((Timestamp::now(), Instant::now()))),
        Err(error) => Err(OverrideFileError::Broken { path, message: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
