//! A word that waits to be confirmed, and what counts again if nobody does.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use aop_common::Mode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Word, document::Document};
use crate::{
    config::{Config, Modes},
    control::{self, PendingMode, Switch, Wish, mode_name},
};

/// How long a word may wait.
const WAITS: RangeInclusive<u64> = 10..=3600;

/// What is in force for a time. Its end is that of both clocks which comes first: the wall clock's,
/// which a restart knows too, and this run's own, which nobody sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Pending {
    pub(super) said_at: Timestamp,
    until: Timestamp,
    deadline: Instant,
    /// What firewall.mode was then, and is.
    pub(super) configured: Mode,
    /// What the word was about; neither of both: the general mode.
    ports: Vec<u16>,
    interfaces: Vec<String>,
    /// What was said before.
    pub(super) reverts_to: Option<Word>,
}

impl Pending {
    /// What `said` makes of its word, where `before` stood.
    ///
    /// # Errors
    /// Why it cannot wait to be confirmed.
    pub(super) fn begun(
        said: &Switch,
        before: Option<&Word>,
        configured: Mode,
        now: (Timestamp, Instant),
    ) -> Result<Option<Self>, &'static str> {
        let Some(seconds) = said.confirm_seconds else { return Ok(None) };
        if said.to != Wish::Enforce {
            return Err("only `enforce` can wait to be confirmed");
        }
        if !WAITS.contains(&seconds) {
            return Err(
                "what is enforced waits to be confirmed for ten seconds at least and for an \
                        hour at most",
            );
        }
        let time = Duration::from_secs(seconds);
        let ends = now.0.checked_add(time).ok().zip(now.1.checked_add(time));
        let (until, deadline) = ends.ok_or("no clock goes that far")?;
        Ok(Some(Self {
            said_at: now.0,
            until,
            deadline,
            configured,
            ports: said.ports.clone(),
            interfaces: said.interfaces.clone(),
            reverts_to: before.cloned(),
        }))
    }

    /// Whether nobody has confirmed it in time.
    pub(super) fn due(&self, (wall, own): (Timestamp, Instant)) -> bool {
        wall >= self.until || own >= self.deadline
    }

    /// The same under `config`; `None` where its mode is another one, which is the newer word.
    pub(super) fn under(mut self, config: &Config) -> Option<Self> {
        let Config { fixed, live, .. } = config;
        let same = fixed.firewall.is_some() && live.mode == self.configured;
        self.reverts_to = self.reverts_to.and_then(|word| word.under(config).0);
        same.then_some(self)
    }

    /// For operators.
    pub(super) fn told(&self) -> PendingMode {
        let before = self.reverts_to.as_ref().map_or_else(|| self.configured.into(), Word::modes);
        PendingMode {
            mode: mode_name(Mode::Enforce).to_owned(),
            ports: self.ports.clone(),
            interfaces: self.interfaces.clone(),
            reverts_to: in_words(&before),
            until: self.until,
        }
    }
}

/// `observe; port 443: enforce`.
fn in_words(modes: &Modes) -> String {
    let mut words = vec![mode_name(modes.general).to_owned()];
    words.extend(control::Modes::of(modes).lines());
    words.join("; ")
}

/// Its part of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PendingDocument {
    said_at: Timestamp,
    until: Timestamp,
    ports: Vec<u16>,
    interfaces: Vec<String>,
    reverts_to: Option<Box<Document>>,
}

impl PendingDocument {
    pub(super) fn of(pending: &Pending) -> Self {
        let Pending { said_at, until, ports, interfaces, reverts_to, .. } = pending.clone();
        let reverts_to = reverts_to.as_ref().map(Document::of).map(Box::new);
        Self { said_at, until, ports, interfaces, reverts_to }
    }

    /// What is read at `now`, beside the configuration of that time. Where the wall clock is before
    /// the moment at which it was said, that clock tells nothing, and the time is over.
    pub(super) fn pending(self, configured: Mode, now: (Timestamp, Instant)) -> Pending {
        let Self { said_at, until, ports, interfaces, reverts_to } = self;
        let left = until.duration_since(now.0).min(until.duration_since(said_at));
        let left = if now.0 < said_at { None } else { Duration::try_from(left).ok() };
        let deadline = now.1.checked_add(left.unwrap_or_default()).unwrap_or(now.1);
        let reverts_to = reverts_to.and_then(|document| document.word().if_any());
        Pending { said_at, until, deadline, configured, ports, interfaces, reverts_to }
    }
}
