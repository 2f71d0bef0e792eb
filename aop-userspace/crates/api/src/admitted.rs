//! The documents of `aop prefixes`. Their names are stable: fields are added, never renamed.

use std::collections::HashSet;

use aop_common::layout::Prefix;
use aop_types::Admission;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::PrefixStatus;

/// The admitted prefixes, and the source of each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admitted {
    /// The list, as `aop status` shows it.
    pub list: PrefixStatus,
    /// Every prefix in force.
    pub prefixes: Vec<AdmittedPrefix>,
}

/// A prefix in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedPrefix {
    /// The CIDR.
    pub prefix: String,
    /// `list`, `extra`, `opening` (for a time, by `aop open`) or `draining` (it has left the list;
    /// its authenticated peers are still admitted).
    pub admits: String,
    /// Seconds until it stops draining.
    pub drains_seconds: Option<u64>,
}

/// The prefixes of `admission` at `now` (seconds of the monotonic clock). `extra` are the
/// operator's own, `opened` those of openings.
#[must_use]
pub fn admitted_prefixes(
    admission: &Admission,
    extra: &[IpNet],
    opened: &[IpNet],
    now: u64,
) -> Vec<AdmittedPrefix> {
    let sources = Sources::new(extra, opened);
    admission
        .entries()
        .iter()
        .filter(|(_, entry)| *entry == Prefix::ADMITTED || u64::from(entry.drains_until) > now)
        .map(|(prefix, entry)| {
            let source = sources.of(prefix, *entry);
            let draining = source == Source::Draining;
            AdmittedPrefix {
                prefix: prefix.to_string(),
                admits: source.name().to_owned(),
                drains_seconds: draining.then(|| u64::from(entry.drains_until) - now),
            }
        })
        .collect()
}

/// Where a prefix in force comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    List,
    Extra,
    Opening,
    Draining,
}

/// Finds the source of a prefix.
pub(super) struct Sources<'a> {
    extra: HashSet<&'a IpNet>,
    opened: &'a [IpNet],
}

impl<'a> Sources<'a> {
    pub(super) fn new(extra: &'a [IpNet], opened: &'a [IpNet]) -> Self {
        Self { extra: extra.iter().collect(), opened }
    }

    pub(super) fn of(&self, prefix: &IpNet, entry: Prefix) -> Source {
        match (entry == Prefix::ADMITTED, self.extra.contains(prefix)) {
            (false, _) => Source::Draining,
            (true, true) => Source::Extra,
            (true, false) if self.opened.contains(prefix) => Source::Opening,
            (true, false) => Source::List,
        }
    }
}

impl Source {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Extra => "extra",
            Self::Opening => "opening",
            Self::Draining => "draining",
        }
    }
}

/// The result of a refresh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshResult {
    /// What the refresh did.
    pub outcome: Outcome,
    /// Prefixes that were added, or would be.
    pub added: Vec<String>,
    /// Prefixes that were removed, or would be.
    pub removed: Vec<String>,
    /// Why it was refused; `null` where it was not.
    pub error: Option<String>,
}

/// What a refresh did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new list is in force.
    Applied,
    /// The source confirmed the list in force: nothing changed.
    Confirmed,
    /// The new list differs, and would be applied.
    WouldApply,
    /// The list was refused; the one in force stays.
    Refused,
}

impl RefreshResult {
    /// A refresh that succeeded.
    #[must_use]
    pub fn with(outcome: Outcome, added: &[IpNet], removed: &[IpNet]) -> Self {
        let texts = |prefixes: &[IpNet]| prefixes.iter().map(ToString::to_string).collect();
        Self { outcome, added: texts(added), removed: texts(removed), error: None }
    }

    /// A refresh that was refused.
    #[must_use]
    pub fn refused(why: String) -> Self {
        let nothing = Self::with(Outcome::Refused, &[], &[]);
        Self { error: Some(why), ..nothing }
    }
}
