//! Mode overrides set with `aop mode`, for packets and for sites. They take precedence over the
//! configuration and are kept in `paths.state`. Whichever came last wins, the command or a changed
//! file: a configuration with another `firewall.mode` than before removes the overrides of packets.

use std::{
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use aop_api::{ModeChange, PendingMode, SiteMode};
use aop_common::Mode;
use aop_config::{Config, Interfaces, ReloadableConfig, SiteConfig};
use aop_types::Modes;
use file::OverridesFile;
use jiff::Timestamp;
use overrides::ModeOverrides;
use pending::PendingOverride;
pub(super) use sites::ConfiguredModes;
use sites::SiteOverrides;

mod file;
mod overrides;
mod pending;
mod sites;

const NAME: &str = "modes.json";

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

/// The overrides, a pending one, and the state of their file.
#[derive(Clone, Debug, Default)]
pub(super) struct OverrideState {
    overrides: Option<ModeOverrides>,
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

    /// The overrides after the command `change`. An unconfirmed override does not count: the
    /// command starts from what was there before.
    ///
    /// # Errors
    /// Why the command cannot wait for a confirmation.
    pub(super) fn with_command(
        &self,
        change: &ModeChange,
        configured: impl Into<ConfiguredModes>,
        now: (Timestamp, Instant),
    ) -> Result<Self, &'static str> {
        let (configured, before) = (&configured.into(), self.confirmed());
        let overrides = ModeOverrides::with_command(before, change, configured, now.0);
        let pending = PendingOverride::begin(change, before, configured, now)?;
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

    /// The modes of interfaces follow their interfaces to new names that `interfaces` guards.
    /// Returns whether one has moved. That is stored at once: the start or check of the host that
    /// follows renames the pins, and then nothing tells the old name any more.
    pub(super) fn follow_renames(
        &mut self,
        interfaces: &Interfaces,
        pins: &Path,
        state: &Path,
    ) -> bool {
        if !self.is_of_interfaces() {
            return false;
        }
        let mut renamed = match aop_firewall::renamed_interfaces(pins) {
            Ok(renamed) => renamed,
            Err(error) => {
                tracing::warn!("cannot look for renamed interfaces: {error}");
                return false;
            }
        };
        renamed.retain(|it| interfaces.named().is_none_or(|names| names.contains(&it.to)));
        if let Some(pending) = &mut self.pending
            && let Some(before) = &mut pending.reverts_to
        {
            before.rename(&renamed);
        }
        let overrides = self.overrides.as_mut();
        let moved = overrides.map_or_else(Vec::new, |overrides| overrides.rename(&renamed));
        moved.iter().for_each(|line| tracing::warn!("{line}"));
        if !moved.is_empty()
            && let Err(error) = self.store(state)
        {
            tracing::warn!("{error}");
        }
        !moved.is_empty()
    }

    /// Whether an interface has a mode of its own, now or after a revert.
    pub(super) fn is_of_interfaces(&self) -> bool {
        let before = self.pending.as_ref().and_then(|pending| pending.reverts_to.as_ref());
        let mut all = self.overrides.iter().chain(before);
        all.any(|overrides| !overrides.interfaces.is_empty())
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
            let mut lines = vec![format!("mode {}", modes.general.name())];
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
