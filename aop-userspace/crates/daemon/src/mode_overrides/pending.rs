//! A pending override: it waits for a confirmation, and is reverted at its deadline.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aop_api::{ModeChange, PendingMode};
use aop_common::Mode;
use aop_config::{Config, OnRefusal};
use aop_types::Modes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ModeOverrides,
    file::OverridesFile,
    sites::{self, ConfiguredModes},
};

/// A mode override in force until a deadline. The deadline is the earlier of two: by the wall
/// clock, which a restart can compare, and by the monotonic clock, which cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingOverride {
    pub(super) set_at: Timestamp,
    until: Timestamp,
    deadline: Instant,
    /// The value of firewall.mode, then and now.
    pub(super) configured: Mode,
    /// The ports and interfaces that the command named; none of both and no sites: the general
    /// mode.
    ports: Vec<u16>,
    interfaces: Vec<String>,
    /// The sites that it named, with their on_refusal then and now.
    sites: BTreeMap<String, OnRefusal>,
    /// The pulls that confirm it, too.
    pulls: Option<PullCount>,
    /// The overrides before it.
    pub(super) reverts_to: Option<ModeOverrides>,
}

/// The number of authenticated pulls that confirm an override.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PullCount {
    wanted: u64,
    /// Pulls before the override and now; `None` before the first count.
    counted: Option<(u64, u64)>,
}

impl PullCount {
    /// Pulls since the override was set.
    fn made(&self) -> u64 {
        self.counted.map_or(0, |(before, now)| now.saturating_sub(before))
    }
}

impl PendingOverride {
    /// The pending override of the command `change`, after the overrides `before`; `None` if it
    /// needs no confirmation.
    ///
    /// # Errors
    /// Why it cannot wait for a confirmation.
    pub(super) fn begin(
        change: &ModeChange,
        before: Option<&ModeOverrides>,
        configured: &ConfiguredModes,
        now: (Timestamp, Instant),
    ) -> Result<Option<Self>, &'static str> {
        change.check()?;
        let Some(seconds) = change.confirm_seconds else { return Ok(None) };
        let time = Duration::from_secs(seconds);
        let ends = now.0.checked_add(time).ok().zip(now.1.checked_add(time));
        let (until, deadline) = ends.ok_or("the deadline cannot be represented")?;
        Ok(Some(Self {
            set_at: now.0,
            until,
            deadline,
            configured: configured.mode,
            ports: change.ports.clone(),
            interfaces: change.interfaces.clone(),
            sites: configured.sites.clone(),
            pulls: change.confirm_pulls.map(|wanted| PullCount { wanted, counted: None }),
            reverts_to: before.cloned(),
        }))
    }

    /// Whether the deadline has passed.
    pub(super) fn is_expired(&self, (wall, own): (Timestamp, Instant)) -> bool {
        wall >= self.until || own >= self.deadline
    }

    /// The pending override under `config`; `None` where the file now says something else about its
    /// subject, which then wins.
    pub(super) fn reconcile(mut self, config: &Config) -> Option<Self> {
        let Config { fixed, live, .. } = config;
        let configured = |(name, on_refusal): (&String, &OnRefusal)| {
            live.sites.iter().any(|site| site.name == *name && site.on_refusal == *on_refusal)
        };
        let same = match self.sites.is_empty() {
            true => fixed.firewall.is_some() && live.mode == self.configured,
            false => self.sites.iter().all(configured),
        };
        self.configured = live.mode;
        self.reverts_to = self.reverts_to.and_then(|overrides| overrides.reconcile(config).0);
        same.then_some(self)
    }

    /// Whether pulls confirm it.
    pub(super) fn waits_for_pulls(&self) -> bool {
        self.pulls.is_some()
    }

    /// Counts the pulls that each site has `served`. Returns a log line if enough were made.
    pub(super) fn count_pulls(&mut self, served: &[(String, u64)]) -> Option<String> {
        let pulls = self.pulls.as_mut()?;
        let mine = served
            .iter()
            .filter(|(site, _)| self.sites.is_empty() || self.sites.contains_key(site));
        let now = mine.map(|(_, count)| *count).sum();
        // The terminator may have restarted, and count from 0 again.
        let before = pulls.counted.map_or(now, |(before, _)| before.min(now));
        pulls.counted = Some((before, now));
        let made = pulls.made();
        (made >= pulls.wanted).then(|| {
            let of: Vec<&str> = self.sites.keys().map(String::as_str).collect();
            let of = if of.is_empty() { String::new() } else { format!(" of {}", of.join(", ")) };
            format!(
                "{made} authenticated pulls{of} have confirmed `aop mode`: the modes in force are \
                 now permanent"
            )
        })
    }

    /// For documents and screens.
    pub(super) fn document(&self) -> PendingMode {
        PendingMode {
            mode: Mode::Enforce.into(),
            ports: self.ports.clone(),
            interfaces: self.interfaces.clone(),
            sites: self.sites.keys().cloned().collect(),
            pulls: self.pulls.map(|pulls| pulls.wanted),
            pulls_so_far: self.pulls.map(|pulls| pulls.made()),
            reverts_to: self.modes_before(),
            until: self.until,
        }
    }

    /// `observe; port 443: enforce`, or for sites `site example.com: observe`.
    fn modes_before(&self) -> String {
        let overrides = self.reverts_to.as_ref();
        if self.sites.is_empty() {
            return in_words(
                &overrides.map_or_else(|| self.configured.into(), ModeOverrides::modes),
            );
        }
        let before = self.sites.iter().map(|(site, configured)| {
            let own = overrides.and_then(|it| it.sites.get(site)).map(|own| own.mode);
            format!("site {site}: {}", sites::mode(configured.under(own)).name())
        });
        before.collect::<Vec<_>>().join("; ")
    }
}

/// The general mode and each override.
fn in_words(modes: &Modes) -> String {
    let mut words = vec![modes.general.name().to_owned()];
    words.extend(aop_api::ModesReport::of(modes).lines());
    words.join("; ")
}

/// The pending override in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PendingOverrideFile {
    #[serde(rename = "said_at")]
    set_at: Timestamp,
    until: Timestamp,
    ports: Vec<u16>,
    interfaces: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sites: BTreeMap<String, OnRefusal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pulls: Option<u64>,
    reverts_to: Option<Box<OverridesFile>>,
}

impl PendingOverrideFile {
    pub(super) fn of(pending: &PendingOverride) -> Self {
        let PendingOverride { set_at, until, ports, interfaces, sites, pulls, reverts_to, .. } =
            pending.clone();
        let reverts_to = reverts_to.as_ref().map(OverridesFile::of).map(Box::new);
        // The count starts again: after a restart the terminator counts from 0.
        let pulls = pulls.map(|pulls| pulls.wanted);
        Self { set_at, until, ports, interfaces, sites, pulls, reverts_to }
    }

    /// The pending override as read at `now`; `configured` is firewall.mode of that time. If the
    /// wall clock is before the time at which it was set, the clock cannot be trusted, and the
    /// deadline counts as passed.
    pub(super) fn pending(self, configured: Mode, now: (Timestamp, Instant)) -> PendingOverride {
        let Self { set_at, until, ports, interfaces, sites, pulls, reverts_to } = self;
        let left = until.duration_since(now.0).min(until.duration_since(set_at));
        let left = if now.0 < set_at { None } else { Duration::try_from(left).ok() };
        let deadline = now.1.checked_add(left.unwrap_or_default()).unwrap_or(now.1);
        let reverts_to = reverts_to.and_then(|document| document.overrides().if_any());
        let pulls = pulls.map(|wanted| PullCount { wanted, counted: None });
        PendingOverride {
            set_at,
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
