//! The operator's word on modes of packets and sites, given by `aop mode`: it counts before the configuration, and
//! outlives this process in `paths.state`. Of two words the newer one counts: a configuration whose
//! `firewall.mode` is another than it was takes the earlier word back.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use aop_api::{PendingMode, SiteMode, Switch, Wish, mode_name};
use aop_common::Mode;
use aop_config::{Config, Interfaces, Live, SiteConfig};
use aop_types::Modes;
use document::Document;
use jiff::Timestamp;
use pending::Pending;
pub(super) use sites::Configured;
use sites::SiteWords;

mod document;
mod outdated;
mod pending;
mod sites;

const NAME: &str = "modes.json";

/// What was said, as a whole. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// When it was last changed.
    pub(super) set_at: Timestamp,
    /// What firewall.mode was then, and is.
    configured: Mode,
    /// The general mode, where that is another.
    general: Option<Mode>,
    ports: BTreeMap<u16, Mode>,
    interfaces: BTreeMap<String, Mode>,
    sites: SiteWords,
}

/// What is wrong with the document, or with writing it.
#[derive(Debug, thiserror::Error)]
pub(super) enum WordError {
    /// It does not hold what it should.
    #[error(
        "{}: not what `aop mode` keeps ({message}); it is ignored: the modes that packets \
         are judged by now stay, at boot the configuration's, and every site refuses. Say it again, or \
         remove the file", .path.display()
    )]
    Broken { path: PathBuf, message: String },
    /// It cannot be read.
    #[error(
        "{}: cannot read what `aop mode` has kept: {error}; the modes that packets are judged by \
         now stay, at boot the configuration's, and every site refuses",
        .path.display()
    )]
    Unreadable { path: PathBuf, error: io::Error },
    /// It cannot be written.
    #[error(
        "{}: cannot keep what `aop mode` said: {error}; a restart would not know it. Correct \
         paths.state or its permissions and say it again", .path.display()
    )]
    Unwritable { path: PathBuf, error: io::Error },
    /// Nor can it, and what it held was weaker.
    #[error(
        "{}: cannot keep what `aop mode` said: {error}; a restart would not know it. What was kept \
         before was weaker and is removed: after a restart the configuration counts. Correct \
         paths.state or its permissions and say it again", .path.display()
    )]
    Removed { path: PathBuf, error: io::Error },
}

impl Word {
    /// The word after `said` beside what was said `before`, where the configuration says
    /// `configured`; `None` where nothing is left that differs from it.
    pub(super) fn after(
        before: Option<&Self>,
        said: &Switch,
        configured: &Configured,
        now: Timestamp,
    ) -> Option<Self> {
        let mode = match said.to {
            Wish::Observe => Some(Mode::Observe),
            Wish::Enforce => Some(Mode::Enforce),
            Wish::Default => None,
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

    /// What is left of the word under `config`, and what is lost, as the log tells it.
    fn under(mut self, config: &Config) -> (Option<Self>, Vec<String>) {
        let Config { fixed, live, .. } = config;
        let now = fixed.firewall.as_ref().map(|_| live.mode);
        let mut lost = Vec::new();
        if self.is_of_packets() && now != Some(self.configured) {
            lost.push(format!(
                "firewall.mode was {} when `aop mode` was heard ({:.0}) and is {} now: the \
                 configuration counts, and what was said does not",
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
                    "port {port} is not guarded any more: its own mode, {mode}, ends"
                ));
            }
            guarded
        });
        // Under `auto` they come and go, and keep theirs.
        if let Interfaces::Named(names) = &live.interfaces {
            self.interfaces.retain(|name, mode| {
                let guarded = names.contains(name);
                if !guarded {
                    let mode = mode_name(*mode);
                    lost.push(format!(
                        "interface {name} is not guarded any more: its own mode, {mode}, ends"
                    ));
                }
                guarded
            });
        }
        (self.if_any(), lost)
    }

    /// The word that makes `modes` of what the configuration says.
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

/// The word, if there is one, and how keeping it goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken {
    pub(super) word: Option<Word>,
    /// Set while the word waits to be confirmed.
    pending: Option<Pending>,
    /// What is wrong with the document on disk.
    pub(super) trouble: Option<String>,
}

impl Spoken {
    /// What an earlier run has kept. Where that cannot be read, what packets are judged by now, and no
    /// site observes: a bad file weakens nothing that is in force.
    pub(super) fn found(config: &Config) -> Self {
        let Config { fixed, live, .. } = config;
        let mut spoken = Self::read(&fixed.paths.state);
        if spoken.trouble.is_some() {
            let pinned = aop_firewall::read(&fixed.paths.pins, None).ok().flatten();
            let modes = pinned.map_or_else(|| live.mode.into(), |it| it.modes);
            let word = Word::of(modes, live.mode, Timestamp::now());
            spoken.word = Word { sites: sites::strict(live), ..word }.if_any();
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

    /// The same under `config`, and what is lost by that or by time, as the log tells it.
    pub(super) fn under(mut self, config: &Config) -> (Self, Vec<String>) {
        let mut lost = Vec::new();
        if self.is_over() {
            lost.extend(self.take_back());
        }
        let Self { word, pending, trouble } = self;
        let waited = pending.is_some();
        let pending = pending.and_then(|pending| pending.under(config));
        if waited && pending.is_none() {
            lost.push("what waited for `aop confirm` waits no more".to_owned());
        }
        let (word, by_config) = word.map_or((None, Vec::new()), |word| word.under(config));
        lost.extend(by_config);
        (Self { word, pending, trouble }, lost)
    }

    /// What counts after `said`: it begins from what stood before a word that is not confirmed.
    ///
    /// # Errors
    /// Why it cannot wait to be confirmed.
    pub(super) fn after(
        &self,
        said: &Switch,
        configured: impl Into<Configured>,
        now: (Timestamp, Instant),
    ) -> Result<Self, &'static str> {
        let (configured, before) = (&configured.into(), self.lasting());
        let word = Word::after(before, said, configured, now.0);
        let pending = Pending::begun(said, before, configured, now)?;
        let pending = pending.filter(|_| word.as_ref() != before);
        Ok(Self { word, pending, trouble: None })
    }

    /// The word, or what stood before it while it is not confirmed.
    fn lasting(&self) -> Option<&Word> {
        match &self.pending {
            Some(pending) => pending.reverts_to.as_ref(),
            None => self.word.as_ref(),
        }
    }

    /// From now on the word waits no more. Says whether it did.
    pub(super) fn confirm(&mut self) -> bool {
        self.pending.take().is_some()
    }

    /// What it is that waits for pulls, by the moment at which it was said.
    pub(super) fn counts(&self) -> Option<Timestamp> {
        self.pending.as_ref().filter(|pending| pending.counts()).map(|pending| pending.said_at)
    }

    /// Counts the pulls that were `served` by each site. Where enough have come since it was said, the
    /// word waits no more; says so, as the log tells it.
    pub(super) fn count(&mut self, served: &[(String, u64)]) -> Option<String> {
        let told = self.pending.as_mut()?.count(served)?;
        self.pending = None;
        Some(told)
    }

    /// Whether the word has waited long enough.
    pub(super) fn is_over(&self) -> bool {
        let now = (Timestamp::now(), Instant::now());
        self.pending.as_ref().is_some_and(|pending| pending.due(now))
    }

    /// A word that is not confirmed counts no more; what stood before it does. Says so, as the log
    /// tells it.
    pub(super) fn take_back(&mut self) -> Option<String> {
        let pending = self.pending.take()?;
        let PendingMode { reverts_to, until, .. } = pending.told();
        self.word = pending.reverts_to;
        Some(format!(
            "`aop mode enforce` was to be confirmed by {until:.0}, and was not: {reverts_to} again"
        ))
    }

    /// What waits to be confirmed.
    pub(super) fn pending(&self) -> Option<PendingMode> {
        self.pending.as_ref().map(Pending::told)
    }

    /// When something was last said of packets that still counts.
    pub(super) fn set_at(&self) -> Option<Timestamp> {
        self.word.as_ref().filter(|word| word.is_of_packets()).map(|word| word.set_at)
    }

    /// The sites of `live`, each refusing as was said.
    pub(super) fn sites(&self, live: &Live) -> Vec<SiteConfig> {
        match &self.word {
            Some(word) => sites::said_of(&word.sites, live),
            None => live.sites.clone(),
        }
    }

    /// The modes of sites of which there is something to tell.
    pub(super) fn told_of_sites(&self, live: &Live) -> Vec<SiteMode> {
        match &self.word {
            Some(word) => sites::told(&word.sites, live),
            None => sites::told(&SiteWords::new(), live),
        }
    }

    /// What drops are carried out by, where the configuration says `configured`.
    pub(super) fn modes(&self, configured: Mode) -> Modes {
        self.word.as_ref().map_or_else(|| configured.into(), Word::modes)
    }

    /// Tells what was `lost`, once it is, and what is left, and forgets on disk what is lost.
    pub(super) fn settle(&mut self, state: &Path, lost: &[String]) {
        if let Some(word) = &self.word {
            let modes = word.modes();
            let mut told = vec![format!("mode {}", mode_name(modes.general))];
            let of = aop_api::Modes::of(&modes);
            told.extend(of.lines().into_iter().chain(of.sites.iter().map(SiteMode::line)));
            let told = told.join("; ");
            tracing::warn!(
                "set by `aop mode` at {:.0}, beside the configuration: {told}",
                word.set_at
            );
        }
        lost.iter().for_each(|lost| tracing::warn!("{lost}"));
        if !lost.is_empty() {
            self.keep(state);
        }
    }

    /// Makes the document in `state` say what is said. Where it cannot be written, one that would weaken
    /// the next start is removed, which a full disk allows.
    pub(super) fn keep(&mut self, state: &Path) {
        let kept = match Document::of_all(self) {
            Some(document) => {
                document.text().and_then(|text| aop_storage::write(state, NAME, &text))
            }
            None => aop_storage::remove(state, NAME),
        };
        let kept = kept.map_err(|error| {
            let path = state.join(NAME);
            let outdated = load(state).is_ok_and(|kept| outdated::is_better_gone(&kept, self));
            match outdated && aop_storage::remove(state, NAME).is_ok() {
                true => WordError::Removed { path, error },
                false => WordError::Unwritable { path, error },
            }
        });
        if let Err(error) = &kept {
            tracing::warn!("{error}");
        }
        self.trouble = kept.err().map(|error| error.to_string());
    }
}

/// When `aop mode` was last heard, and what waits to be confirmed, as `state` has kept it; what cannot
/// be read tells nothing.
#[must_use]
pub fn switched(state: &Path) -> (Option<Timestamp>, Option<PendingMode>) {
    let spoken = load(state).unwrap_or_default();
    (spoken.set_at(), spoken.pending())
}

/// The word that is kept in `state`.
fn load(state: &Path) -> Result<Spoken, WordError> {
    let path = state.join(NAME);
    let text = match aop_storage::read(state, NAME) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(Spoken::default()),
        Err(error) => return Err(WordError::Unreadable { path, error }),
    };
    match serde_json::from_slice::<Document>(&text) {
        Ok(document) => Ok(document.spoken((Timestamp::now(), Instant::now()))),
        Err(error) => Err(WordError::Broken { path, message: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
