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
use file::Document;
use jiff::Timestamp;
use pending::Pending;
pub(super) use sites::Configured;
use sites::SiteWords;

mod file;
mod pending;
mod sites;
mod stale_file;

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
    sites: SiteWords,
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
        "{}: cannot store the modes that `aop mode` has set: {error}. A restart will lose them. \
         Correct paths.state, its permissions or its disk, and repeat the command", .path.display()
    )]
    Unwritable { path: PathBuf, error: io::Error },
    /// The file could not be written, and was removed because its content was less strict.
    #[error(
        "{}: cannot store the modes that `aop mode` has set: {error}. The file held less strict \
         modes and was removed: after a restart only the configuration counts. Correct \
         paths.state, its permissions or its disk, and repeat the command", .path.display()
    )]
    Removed { path: PathBuf, error: io::Error },
}

impl ModeOverrides {
    /// The overrides after the command `said`, where there were those of `before` and the
    /// configuration is `configured`; `None` where none is left that differs from it.
    pub(super) fn after(
        before: Option<&Self>,
        said: &ModeChange,
        configured: &Configured,
        now: Timestamp,
    ) -> Option<Self> {
        let mode = match said.to {
            ModeTarget::Observe => Some(Mode::Observe),
            ModeTarget::Enforce => Some(Mode::Enforce),
            ModeTarget::Default => None,
        };
        let of_sites = !said.sites.is_empty();
        let everything = said.ports.is_empty() && said.interfaces.is_empty() && !of_sites;
        let mut word = before
            .cloned()
            .unwrap_or_else(|| Self::of(configured.mode.into(), configured.mode, now));
        if everything {
            word.general = mode.filter(|mode| *mode != configured.mode);
            word.ports.clear();
            word.interfaces.clear();
        }
        if of_sites {
            sites::say(&mut word.sites, configured, mode);
        }
        for port in &said.ports {
            match mode {
                Some(mode) => word.ports.insert(*port, mode),
                None => word.ports.remove(port),
            };
        }
        for interface in &said.interfaces {
            match mode {
                Some(mode) => word.interfaces.insert(interface.clone(), mode),
                None => word.interfaces.remove(interface),
            };
        }
        if before != Some(&word) {
            word.set_at = now;
        }
        word.if_any()
    }

    /// The overrides that remain under `config`, and a log line for each that is dropped.
    fn under(mut self, config: &Config) -> (Option<Self>, Vec<String>) {
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
        lost.extend(sites::under(&mut self.sites, live));
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
        Self { set_at, configured, general, ports, interfaces, sites: SiteWords::new() }
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
            sites: self.sites.iter().map(|(site, word)| (site.clone(), word.mode)).collect(),
        }
    }
}

/// The overrides, a pending one, and the state of their file.
#[derive(Clone, Debug, Default)]
pub(super) struct OverrideState {
    pub(super) word: Option<ModeOverrides>,
    /// Set while an override waits for a confirmation.
    pending: Option<Pending>,
    /// Why the file cannot be read or written.
    pub(super) trouble: Option<String>,
}

impl OverrideState {
    /// The stored overrides. If the file cannot be read, packets keep the modes in the maps, and no
    /// site observes: a damaged file must not weaken what is in force.
    pub(super) fn found(config: &Config) -> Self {
        let Config { fixed, live, .. } = config;
        let mut spoken = Self::read(&fixed.paths.state);
        if spoken.trouble.is_some() {
            let pinned = aop_firewall::read(&fixed.paths.pins, None).ok().flatten();
            let modes = pinned.map_or_else(|| live.mode.into(), |it| it.modes);
            let word = ModeOverrides::of(modes, live.mode, Timestamp::now());
            spoken.word = ModeOverrides { sites: sites::strict(live), ..word }.if_any();
        }
        spoken
    }

    fn read(state: &Path) -> Self {
        match load(state) {
            Ok(spoken) => spoken,
            Err(error) => {
                tracing::warn!("{error}");
                Self { trouble: Some(error.to_string()), ..Self::default() }
            }
        }
    }

    /// The overrides that remain under `config` now, and a log line for each that is dropped.
    pub(super) fn under(mut self, config: &Config) -> (Self, Vec<String>) {
        let mut lost = Vec::new();
        if self.is_over() {
            lost.extend(self.take_back());
        }
        let Self { word, pending, trouble } = self;
        let waited = pending.is_some();
        let pending = pending.and_then(|pending| pending.under(config));
        if waited && pending.is_none() {
            lost.push("the override that waited for `aop confirm` is dropped".to_owned());
        }
        let (word, by_config) = word.map_or((None, Vec::new()), |word| word.under(config));
        lost.extend(by_config);
        (Self { word, pending, trouble }, lost)
    }

    /// The overrides after the command `said`. An unconfirmed override does not count: the command
    /// starts from what was there before.
    ///
    /// # Errors
    /// Why the command cannot wait for a confirmation.
    pub(super) fn after(
        &self,
        said: &ModeChange,
        configured: impl Into<Configured>,
        now: (Timestamp, Instant),
    ) -> Result<Self, &'static str> {
        let (configured, before) = (&configured.into(), self.lasting());
        let word = ModeOverrides::after(before, said, configured, now.0);
        let pending = Pending::begun(said, before, configured, now)?;
        let pending = pending.filter(|_| word.as_ref() != before);
        Ok(Self { word, pending, trouble: None })
    }

    /// The confirmed overrides.
    fn lasting(&self) -> Option<&ModeOverrides> {
        match &self.pending {
            Some(pending) => pending.reverts_to.as_ref(),
            None => self.word.as_ref(),
        }
    }

    /// Confirms the pending override. Returns whether there was one.
    pub(super) fn confirm(&mut self) -> bool {
        self.pending.take().is_some()
    }

    /// When the override was set that waits for pulls, if there is one.
    pub(super) fn counts(&self) -> Option<Timestamp> {
        self.pending.as_ref().filter(|pending| pending.counts()).map(|pending| pending.said_at)
    }

    /// Counts the pulls `served` by each site. Enough of them confirm the override: a log line.
    pub(super) fn count(&mut self, served: &[(String, u64)]) -> Option<String> {
        let line = self.pending.as_mut()?.count(served)?;
        self.pending = None;
        Some(line)
    }

    /// Whether the deadline of the pending override has passed.
    pub(super) fn is_over(&self) -> bool {
        let now = (Timestamp::now(), Instant::now());
        self.pending.as_ref().is_some_and(|pending| pending.due(now))
    }

    /// Reverts the pending override, and returns a log line.
    pub(super) fn take_back(&mut self) -> Option<String> {
        let pending = self.pending.take()?;
        let PendingMode { reverts_to, until, .. } = pending.told();
        self.word = pending.reverts_to;
        Some(format!(
            "`aop mode enforce` was not confirmed by {until:.0}: reverted to {reverts_to}"
        ))
    }

    /// The override that waits for a confirmation.
    pub(super) fn pending(&self) -> Option<PendingMode> {
        self.pending.as_ref().map(Pending::told)
    }

    /// When overrides of packets were last changed, if there are any.
    pub(super) fn set_at(&self) -> Option<Timestamp> {
        self.word.as_ref().filter(|word| word.is_of_packets()).map(|word| word.set_at)
    }

    /// The sites of `live` with their overrides.
    pub(super) fn sites(&self, live: &ReloadableConfig) -> Vec<SiteConfig> {
        match &self.word {
            Some(word) => sites::said_of(&word.sites, live),
            None => live.sites.clone(),
        }
    }

    /// The modes of sites that observe, explain or have an override.
    pub(super) fn told_of_sites(&self, live: &ReloadableConfig) -> Vec<SiteMode> {
        match &self.word {
            Some(word) => sites::told(&word.sites, live),
            None => sites::told(&SiteWords::new(), live),
        }
    }

    /// The modes in force, where firewall.mode is `configured`.
    pub(super) fn modes(&self, configured: Mode) -> Modes {
        self.word.as_ref().map_or_else(|| configured.into(), ModeOverrides::modes)
    }

    /// Logs the remaining and the `lost` overrides, and removes the latter from the file.
    pub(super) fn settle(&mut self, state: &Path, lost: &[String]) {
        if let Some(word) = &self.word {
            let modes = word.modes();
            let mut lines = vec![format!("mode {}", mode_name(modes.general))];
            let of = aop_api::ModesReport::of(&modes);
            lines.extend(of.lines().into_iter().chain(of.sites.iter().map(SiteMode::line)));
            let lines = lines.join("; ");
            tracing::warn!(
                "in force by `aop mode` since {:.0}, before the configuration: {lines}",
                word.set_at
            );
        }
        lost.iter().for_each(|lost| tracing::warn!("{lost}"));
        if !lost.is_empty() {
            self.keep(state);
        }
    }

    /// Writes the overrides to the file in `state`. If it cannot be written (the disk is full), and
    /// its old content would weaken the next start, the file is removed; that works on a full disk.
    pub(super) fn keep(&mut self, state: &Path) {
        let kept = match Document::of_all(self) {
            Some(document) => {
                document.text().and_then(|text| aop_storage::write(state, NAME, &text))
            }
            None => aop_storage::remove(state, NAME),
        };
        let kept = kept.map_err(|error| {
            let path = state.join(NAME);
            let outdated = load(state).is_ok_and(|kept| stale_file::is_better_gone(&kept, self));
            match outdated && aop_storage::remove(state, NAME).is_ok() {
                true => OverrideFileError::Removed { path, error },
                false => OverrideFileError::Unwritable { path, error },
            }
        });
        if let Err(error) = &kept {
            tracing::warn!("{error}");
        }
        self.trouble = kept.err().map(|error| error.to_string());
    }
}

/// When `aop mode` last changed the modes of packets, and the override that waits for a
/// confirmation, from the file in `state`. Neither where it cannot be read.
#[must_use]
pub fn switched(state: &Path) -> (Option<Timestamp>, Option<PendingMode>) {
    let spoken = load(state).unwrap_or_default();
    (spoken.set_at(), spoken.pending())
}

/// The overrides in `state`.
fn load(state: &Path) -> Result<OverrideState, OverrideFileError> {
    let path = state.join(NAME);
    let text = match aop_storage::read(state, NAME) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(OverrideState::default()),
        Err(error) => return Err(OverrideFileError::Unreadable { path, error }),
    };
    match serde_json::from_slice::<Document>(&text) {
        Ok(document) => Ok(document.spoken((Timestamp::now(), Instant::now()))),
        Err(error) => Err(OverrideFileError::Broken { path, message: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
