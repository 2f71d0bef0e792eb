//! The documents of `aop prefixes`, and what admits an address.

use std::{collections::HashSet, net::IpAddr};

use aop_common::layout::Prefix;
use aop_types::Admission;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::names::stable_names;

/// The admitted prefixes, and the source of each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admitted {
    /// The list, as `aop status` shows it.
    pub list: PrefixStatus,
    /// Every prefix in force.
    pub prefixes: Vec<AdmittedPrefix>,
}

/// The admitted prefixes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PrefixStatus {
    /// `cloudflare`, `inline`, a URL or a path; `null` where no daemon knows.
    pub source: Option<String>,
    /// Where the list came from; `null` where no daemon knows.
    pub origin: Option<ListOriginName>,
    /// The source's name for this edition of the list.
    pub etag: Option<String>,
    /// IPv4 prefixes, the operator's extra ones included.
    pub v4: usize,
    /// IPv6 prefixes.
    pub v6: usize,
    /// Prefixes that have left the list and still admit their authenticated peers.
    pub draining: usize,
    /// Seconds since the source last confirmed the list; `null` where no daemon knows, or the
    /// source has never answered.
    pub age_seconds: Option<u64>,
    /// Seconds until the next refresh; `null` where none is due.
    pub next_refresh_seconds: Option<u64>,
    /// Why the last refresh was refused; `null` where it was not.
    pub last_error: Option<String>,
    /// Number of the list in force; each applied list increments it.
    pub generation: u32,
}

stable_names! {
    /// Where the list came from.
    ListOriginName {
        /// It was fetched from its source.
        Fetched = "fetched",
        /// It was fetched earlier, and kept in `paths.state`.
        Stored = "stored",
        /// The copy in the program.
        Snapshot = "snapshot",
        /// A file.
        File = "file",
        /// The configuration.
        Inline = "inline",
        /// There is no list.
        Nowhere = "nowhere",
    }
}

/// A prefix in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedPrefix {
    /// The CIDR.
    pub prefix: String,
    /// The rule that admits it.
    pub admits: AdmissionSource,
    /// Seconds until it stops draining.
    pub drains_seconds: Option<u64>,
}

stable_names! {
    /// The rule that admits a prefix or an address.
    AdmissionSource {
        /// The prefix list.
        List = "list",
        /// `firewall.extra`.
        Extra = "extra",
        /// `aop open`, for a time.
        Opening = "opening",
        /// The prefix has left the list; its authenticated peers are still admitted.
        Draining = "draining",
        /// No prefix: the address has authenticated, and strangers get tries.
        Trusted = "trusted",
    }
}

/// The admission rules in force: the one answer to what admits a prefix or an address.
#[derive(Clone, Debug)]
pub struct AdmissionContext<'a> {
    admission: &'a Admission,
    extra: HashSet<&'a IpNet>,
    opened: &'a [IpNet],
    now: u64,
}

impl<'a> AdmissionContext<'a> {
    /// `admission` at `now` (seconds of the monotonic clock). `extra` are those of its prefixes
    /// that the operator added and the list does not contain, `opened` those of openings.
    #[must_use]
    pub fn new(
        admission: &'a Admission,
        extra: &'a [IpNet],
        opened: &'a [IpNet],
        now: u64,
    ) -> Self {
        Self { admission, extra: extra.iter().collect(), opened, now }
    }

    /// Every prefix in force.
    #[must_use]
    pub fn prefixes(&self) -> Vec<AdmittedPrefix> {
        let admitted = |(prefix, entry): &(IpNet, Prefix)| {
            let (admits, drains_seconds) = self.source(prefix, *entry)?;
            Some(AdmittedPrefix { prefix: prefix.to_string(), admits, drains_seconds })
        };
        self.admission.entries().iter().filter_map(admitted).collect()
    }

    /// The rule that admits `address` even if it has never authenticated.
    #[must_use]
    pub fn admits_stranger(&self, address: IpAddr) -> Option<AdmissionSource> {
        let (_, source, _) = self.longest(address)?;
        Some(source).filter(|source| *source != AdmissionSource::Draining)
    }

    /// The longest prefix that contains `address`, if it is in force, with its source and the
    /// seconds until it stops draining.
    pub(crate) fn longest(&self, address: IpAddr) -> Option<(IpNet, AdmissionSource, Option<u64>)> {
        let (prefix, entry) = self.admission.longest(address)?;
        let (source, drains_seconds) = self.source(&prefix, entry)?;
        Some((prefix, source, drains_seconds))
    }

    /// `None` where the prefix has stopped draining.
    fn source(&self, prefix: &IpNet, entry: Prefix) -> Option<(AdmissionSource, Option<u64>)> {
        if entry != Prefix::ADMITTED {
            let left = self.left(entry.drains_until.into())?;
            return Some((AdmissionSource::Draining, Some(left)));
        }
        let source = match prefix {
            extra if self.extra.contains(extra) => AdmissionSource::Extra,
            opened if self.opened.contains(opened) => AdmissionSource::Opening,
            _ => AdmissionSource::List,
        };
        Some((source, None))
    }

    /// Seconds that are left until `until`; `None` where there are none.
    pub(crate) fn left(&self, until: u64) -> Option<u64> {
        until.checked_sub(self.now).filter(|left| *left > 0)
    }
}

/// The result of a refresh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshResult {
    /// The outcome of the refresh.
    pub outcome: RefreshOutcome,
    /// Prefixes that were added, or would be.
    pub added: Vec<String>,
    /// Prefixes that were removed, or would be.
    pub removed: Vec<String>,
    /// Why it was refused; `null` where it was not.
    pub error: Option<String>,
}

/// The outcome of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshOutcome {
    /// The new list is in force.
    Applied,
    /// The source confirmed the list in force: nothing changed.
    Confirmed,
    /// The new list differs, and would be applied.
    WouldApply,
    /// The list was refused; the one in force stays.
    Refused,
    /// An outcome of another version of aop.
    #[serde(other)]
    Unknown,
}

impl RefreshResult {
    /// A refresh that succeeded.
    #[must_use]
    pub fn with(outcome: RefreshOutcome, added: &[IpNet], removed: &[IpNet]) -> Self {
        let texts = |prefixes: &[IpNet]| prefixes.iter().map(ToString::to_string).collect();
        Self { outcome, added: texts(added), removed: texts(removed), error: None }
    }

    /// A refresh that was refused.
    #[must_use]
    pub fn refused(why: String) -> Self {
        let nothing = Self::with(RefreshOutcome::Refused, &[], &[]);
        Self { error: Some(why), ..nothing }
    }
}
