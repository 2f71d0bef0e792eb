//! A word that waits to be confirmed, and what counts again if nobody does.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use aop_api::{PendingMode, Switch, Wish, mode_name};
use aop_common::Mode;
use aop_config::{Config, OnRefusal};
use aop_types::Modes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Word,
    document::{Document, NamedRefusal},
    sites::{self, Configured},
};

/// How long a word may wait.
const WAITS: RangeInclusive<u64> = 10..=3600;

/// What is in force for a time. Its end is that of both clocks which comes first: the wall clock's,
/// which a restart knows too, and this run's own, which nobody sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(super) said_at: Timestamp,
    until: Timestamp,
    deadline: Instant,
    /// What firewall.mode was then, and is.
    pub(super) configured: Mode,
    /// What the word was about; neither of both: the general mode.
    ports: Vec<u16>,
    interfaces: Vec<String>,
    /// Or sites, and what their on_refusal was then, and is.
    sites: BTreeMap<String, OnRefusal>,
    /// What confirms it, too.
    pulls: Option<Pulls>,
    /// What was said before.
    pub(super) reverts_to: Option<Word>,
}

/// Pulls with the right certificate: with so many it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pulls {
    wanted: u64,
    /// How many there were before it was said, and are now; `None` until they were counted first.
    counted: Option<(u64, u64)>,
}

impl Pulls {
    /// How many have come since.
    fn came(&self) -> u64 {
        self.counted.map_or(0, |(before, now)| now.saturating_sub(before))
    }
}

impl Pending {
    /// What `said` makes of its word, where `before` stood.
    ///
    /// # Errors
    /// Why it cannot wait to be confirmed.
    pub(super) fn begun(
        said: &Switch,
        before: Option<&Word>,
        configured: &Configured,
        now: (Timestamp, Instant),
    ) -> Result<Option<Self>, &'static str> {
        let Some(seconds) = said.confirm_seconds else {
            return match said.confirm_pulls {
                None => Ok(None),
                Some(_) => Err("pulls confirm what waits to be confirmed, so say for how long"),
            };
        };
        if said.confirm_pulls == Some(0) {
            return Err("no pull at all confirms nothing");
        }
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
            configured: configured.mode,
            ports: said.ports.clone(),
            interfaces: said.interfaces.clone(),
            sites: configured.sites.clone(),
            pulls: said.confirm_pulls.map(|wanted| Pulls { wanted, counted: None }),
            reverts_to: before.cloned(),
        }))
    }

    /// Whether nobody has confirmed it in time.
    pub(super) fn due(&self, (wall, own): (Timestamp, Instant)) -> bool {
        wall >= self.until || own >= self.deadline
    }

    /// The same under `config`; `None` where what it says of this is something else, which is the newer
    /// word.
    pub(super) fn under(mut self, config: &Config) -> Option<Self> {
        let Config { fixed, live, .. } = config;
        let configured = |(name, on_refusal): (&String, &OnRefusal)| {
            live.sites.iter().any(|site| site.name == *name && site.on_refusal == *on_refusal)
        };
        let same = match self.sites.is_empty() {
            true => fixed.firewall.is_some() && live.mode == self.configured,
            false => self.sites.iter().all(configured),
        };
        self.configured = live.mode;
        self.reverts_to = self.reverts_to.and_then(|word| word.under(config).0);
        same.then_some(self)
    }

    /// Whether pulls confirm it.
    pub(super) fn counts(&self) -> bool {
        self.pulls.is_some()
    }

    /// Counts the pulls that were `served` by each site. Says that enough of them have come, as the log
    /// tells it.
    pub(super) fn count(&mut self, served: &[(String, u64)]) -> Option<String> {
        let pulls = self.pulls.as_mut()?;
        let mine = served
            .iter()
            .filter(|(site, _)| self.sites.is_empty() || self.sites.contains_key(site));
        let now = mine.map(|(_, count)| *count).sum();
        // Who counts may have begun anew.
        let before = pulls.counted.map_or(now, |(before, _)| before.min(now));
        pulls.counted = Some((before, now));
        let came = pulls.came();
        (came >= pulls.wanted).then(|| {
            let of: Vec<&str> = self.sites.keys().map(String::as_str).collect();
            let of = if of.is_empty() { String::new() } else { format!(" of {}", of.join(", ")) };
            format!(
                "{came} pulls{of} with the right certificate confirm what `aop mode` said: it lasts"
            )
        })
    }

    /// For operators.
    pub(super) fn told(&self) -> PendingMode {
        PendingMode {
            mode: mode_name(Mode::Enforce).to_owned(),
            ports: self.ports.clone(),
            interfaces: self.interfaces.clone(),
            sites: self.sites.keys().cloned().collect(),
            pulls: self.pulls.map(|pulls| pulls.wanted),
            pulls_so_far: self.pulls.map(|pulls| pulls.came()),
            reverts_to: self.before(),
            until: self.until,
        }
    }

    /// `observe; port 443: enforce`, or of sites `site example.com: observe`.
    fn before(&self) -> String {
        let word = self.reverts_to.as_ref();
        if self.sites.is_empty() {
            return in_words(&word.map_or_else(|| self.configured.into(), Word::modes));
        }
        let before = self.sites.iter().map(|(site, configured)| {
            let said = word.and_then(|word| word.sites.get(site)).map(|said| said.mode);
            format!("site {site}: {}", mode_name(sites::mode(configured.under(said))))
        });
        before.collect::<Vec<_>>().join("; ")
    }
}

/// The general mode and each own one.
fn in_words(modes: &Modes) -> String {
    let mut words = vec![mode_name(modes.general).to_owned()];
    words.extend(aop_api::Modes::of(modes).lines());
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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sites: BTreeMap<String, NamedRefusal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pulls: Option<u64>,
    reverts_to: Option<Box<Document>>,
}

impl PendingDocument {
    pub(super) fn of(pending: &Pending) -> Self {
        let Pending { said_at, until, ports, interfaces, sites, pulls, reverts_to, .. } =
            pending.clone();
        let reverts_to = reverts_to.as_ref().map(Document::of).map(Box::new);
        let sites = sites.into_iter().map(|(site, was)| (site, was.into())).collect();
        // Counting begins anew: who counts does, too.
        let pulls = pulls.map(|pulls| pulls.wanted);
        Self { said_at, until, ports, interfaces, sites, pulls, reverts_to }
    }

    /// What is read at `now`, beside the configuration of that time. Where the wall clock is before
    /// the moment at which it was said, that clock tells nothing, and the time is over.
    pub(super) fn pending(self, configured: Mode, now: (Timestamp, Instant)) -> Pending {
        let Self { said_at, until, ports, interfaces, sites, pulls, reverts_to } = self;
        let left = until.duration_since(now.0).min(until.duration_since(said_at));
        let left = if now.0 < said_at { None } else { Duration::try_from(left).ok() };
        let deadline = now.1.checked_add(left.unwrap_or_default()).unwrap_or(now.1);
        let reverts_to = reverts_to.and_then(|document| document.word().if_any());
        let sites = sites.into_iter().map(|(site, was)| (site, was.into())).collect();
        let pulls = pulls.map(|wanted| Pulls { wanted, counted: None });
        Pending {
            said_at,
            until,
            deadline,
            configured,
            ports,
            interfaces,
            sites,
            pulls,
            reverts_to,
        }
    }
}
