//! A list: its prefixes, its origin and its age.

use std::fmt;

use aop_common::layout::MAX_PREFIXES;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::PrefixError;

/// The list of a source: sorted, each prefix once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixList {
    prefixes: Vec<IpNet>,
    /// The source's identifier of this version.
    pub etag: Option<String>,
}

impl PrefixList {
    /// A list of `prefixes` in any order.
    #[must_use]
    pub fn new(prefixes: Vec<IpNet>, etag: Option<String>) -> Self {
        Self { prefixes: sorted(prefixes), etag }
    }

    /// The prefixes, sorted.
    #[must_use]
    pub fn prefixes(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// Whether exactly this prefix is on the list.
    #[must_use]
    pub fn has(&self, prefix: &IpNet) -> bool {
        self.prefixes.binary_search(prefix).is_ok()
    }

    /// The prefixes together with the operator's `extra` ones, each once.
    ///
    /// # Errors
    /// A family has more than [`MAX_PREFIXES`].
    pub fn with(&self, extra: &[IpNet]) -> Result<Vec<IpNet>, PrefixError> {
        let prefixes = sorted(self.prefixes.iter().chain(extra).copied().collect());
        let v4 = prefixes.iter().filter(|prefix| prefix.addr().is_ipv4()).count();
        let count = v4.max(prefixes.len() - v4);
        if count > MAX_PREFIXES { Err(PrefixError::TooMany { count }) } else { Ok(prefixes) }
    }
}

fn sorted(mut prefixes: Vec<IpNet>) -> Vec<IpNet> {
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// A list, its origin, and when its source last confirmed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentList {
    /// The list.
    pub list: PrefixList,
    /// Its origin.
    pub origin: ListOrigin,
    /// When the source last confirmed this list; `None` if it never did.
    pub confirmed: Option<Timestamp>,
}

impl CurrentList {
    /// A list that `origin` confirms now.
    #[must_use]
    pub fn now(list: PrefixList, origin: ListOrigin) -> Self {
        Self { list, origin, confirmed: Some(Timestamp::now()) }
    }

    /// Seconds since the list was confirmed: 0 if the clock is before that moment, `None` if it was
    /// never confirmed.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<u64> {
        let confirmed = self.confirmed?;
        Some(u64::try_from(now.as_second() - confirmed.as_second()).unwrap_or(0))
    }
}

/// The origin of the list in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrigin {
    /// The source answered.
    Fetched,
    /// An earlier run fetched the list and stored it on disk.
    Stored,
    /// Built into the program.
    Snapshot,
    /// The operator's file.
    File,
    /// The configuration.
    Inline,
    /// There is no list: the source has never answered.
    None,
}

impl fmt::Display for ListOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fetched => "fetched",
            Self::Stored => "stored",
            Self::Snapshot => "snapshot",
            Self::File => "file",
            Self::Inline => "inline",
            Self::None => "nowhere",
        })
    }
}
