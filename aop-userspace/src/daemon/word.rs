//! The operator's word on modes, given by `aop mode`: it counts before the configuration, and
//! outlives this process in `paths.state`. Of two words the newer one counts: a configuration whose
//! `firewall.mode` is another than it was takes the earlier word back.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use aop_common::Mode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, Interfaces, Modes},
    control::{self, Switch, Wish, mode_name},
    firewall, state as disk,
};

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
}

/// What is wrong with the document, or with writing it.
#[derive(Debug, thiserror::Error)]
pub(super) enum WordError {
    /// It does not hold what it should.
    #[error(
        "{}: not what `aop mode` keeps ({message}); it is ignored: the modes that packets \
         are judged by now stay, at boot the configuration's. Say it again, or remove the file", .path.display()
    )]
    Broken { path: PathBuf, message: String },
    /// It cannot be read.
    #[error(
        "{}: cannot read what `aop mode` has kept: {error}; the modes that packets are judged by \
         now stay, at boot the configuration's",
        .path.display()
    )]
    Unreadable { path: PathBuf, error: io::Error },
    /// It cannot be written.
    #[error(
        "{}: cannot keep what `aop mode` said: {error}; a restart would not know it. Correct \
         paths.state or its permissions and say it again", .path.display()
    )]
    Unwritable { path: PathBuf, error: io::Error },
}

impl Word {
    /// The word after `said` beside what was said `before`, where the configuration says
    /// `configured`; `None` where nothing is left that differs from it.
    pub(super) fn after(
        before: Option<&Self>,
        said: &Switch,
        configured: Mode,
        now: Timestamp,
    ) -> Option<Self> {
        let mode = match said.to {
            Wish::Observe => Some(Mode::Observe),
            Wish::Enforce => Some(Mode::Enforce),
            Wish::Default => None,
        };
        let everything = said.ports.is_empty() && said.interfaces.is_empty();
        let mode = match mode {
            None if everything => return None,
            mode => mode,
        };
        let mut word = before.cloned().unwrap_or(Self {
            set_at: now,
            configured,
            general: None,
            ports: BTreeMap::new(),
            interfaces: BTreeMap::new(),
        });
        if everything {
            word.general = mode.filter(|mode| *mode != configured);
            word.ports.clear();
            word.interfaces.clear();
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
        if now != Some(self.configured) {
            let lost = format!(
                "firewall.mode was {} when `aop mode` was heard ({:.0}) and is {} now: the \
                 configuration counts, and what was said does not",
                mode_name(self.configured),
                self.set_at,
                now.map_or("off", mode_name),
            );
            return (None, vec![lost]);
        }
        let mut lost = Vec::new();
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
        let Modes { general, ports, interfaces } = modes;
        let general = Some(general).filter(|general| *general != configured);
        Self { set_at, configured, general, ports, interfaces }
    }

    fn if_any(self) -> Option<Self> {
        let any = self.general.is_some() || !self.ports.is_empty() || !self.interfaces.is_empty();
        any.then_some(self)
    }

    fn modes(&self) -> Modes {
        Modes {
            general: self.general.unwrap_or(self.configured),
            ports: self.ports.clone(),
            interfaces: self.interfaces.clone(),
        }
    }
}

/// The word, if there is one, and how keeping it goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken {
    pub(super) word: Option<Word>,
    /// What is wrong with the document on disk.
    pub(super) trouble: Option<String>,
}

impl Spoken {
    /// What an earlier run has kept. Where that cannot be read, what packets are judged by now: a bad
    /// file weakens nothing that is in force.
    pub(super) fn found(config: &Config) -> Self {
        let Config { fixed, live, .. } = config;
        let mut spoken = Self::read(&fixed.paths.state);
        if spoken.trouble.is_some() {
            let pinned = firewall::read(&fixed.paths.pins, None).ok().flatten();
            let word = pinned.map(|it| Word::of(it.modes, live.mode, Timestamp::now()));
            spoken.word = word.and_then(Word::if_any);
        }
        spoken
    }

    fn read(state: &Path) -> Self {
        match load(state) {
            Ok(word) => Self { word, trouble: None },
            Err(error) => {
                tracing::warn!("{error}");
                Self { word: None, trouble: Some(error.to_string()) }
            }
        }
    }

    /// The same under `config`, and what is lost by that, as the log tells it.
    pub(super) fn under(self, config: &Config) -> (Self, Vec<String>) {
        let (word, lost) = self.word.map_or((None, Vec::new()), |word| word.under(config));
        (Self { word, trouble: self.trouble }, lost)
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
            told.extend(control::Modes::of(&modes).lines());
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

    /// Makes the document in `state` say what is said.
    pub(super) fn keep(&mut self, state: &Path) {
        let kept = match &self.word {
            Some(word) => {
                Document::of(word).text().and_then(|text| disk::write(state, NAME, &text))
            }
            None => disk::remove(state, NAME),
        };
        let kept = kept.map_err(|error| WordError::Unwritable { path: state.join(NAME), error });
        if let Err(error) = &kept {
            tracing::warn!("{error}");
        }
        self.trouble = kept.err().map(|error| error.to_string());
    }
}

/// When `aop mode` was last heard, as `state` has kept it; what cannot be read tells nothing.
#[must_use]
pub fn switched_at(state: &Path) -> Option<Timestamp> {
    load(state).ok().flatten().map(|word| word.set_at)
}

/// The word that is kept in `state`.
fn load(state: &Path) -> Result<Option<Word>, WordError> {
    let path = state.join(NAME);
    let text = match disk::read(state, NAME) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(error) => return Err(WordError::Unreadable { path, error }),
    };
    match serde_json::from_slice::<Document>(&text) {
        Ok(document) => Ok(document.word().if_any()),
        Err(error) => Err(WordError::Broken { path, message: error.to_string() }),
    }
}

/// The file's content. Fields that are not known are of another version, and so is the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    set_at: Timestamp,
    configured: Named,
    general: Option<Named>,
    ports: BTreeMap<u16, Named>,
    interfaces: BTreeMap<String, Named>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    Enforce,
    Observe,
}

impl Document {
    fn of(word: &Word) -> Self {
        let Word { set_at, configured, general, ports, interfaces } = word.clone();
        Self {
            set_at,
            configured: configured.into(),
            general: general.map(Into::into),
            ports: ports.into_iter().map(|(port, mode)| (port, mode.into())).collect(),
            interfaces: interfaces.into_iter().map(|(name, mode)| (name, mode.into())).collect(),
        }
    }

    fn word(self) -> Word {
        let Self { set_at, configured, general, ports, interfaces } = self;
        Word {
            set_at,
            configured: configured.into(),
            general: general.map(Into::into),
            ports: ports.into_iter().map(|(port, mode)| (port, mode.into())).collect(),
            interfaces: interfaces.into_iter().map(|(name, mode)| (name, mode.into())).collect(),
        }
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

impl From<Mode> for Named {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Observe => Self::Observe,
        }
    }
}

impl From<Named> for Mode {
    fn from(named: Named) -> Self {
        match named {
            Named::Enforce => Self::Enforce,
            Named::Observe => Self::Observe,
        }
    }
}

#[cfg(test)]
mod tests;
