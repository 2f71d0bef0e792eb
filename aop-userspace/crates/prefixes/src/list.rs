//! A list in hand: its prefixes, and how far they may be trusted to be current.

use std::fmt;

use aop_common::layout::MAX_PREFIXES;
use ipnet::IpNet;
use jiff::Timestamp;

use super::PrefixError;

/// A list as its source told it: sorted, each prefix once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    prefixes: Vec<IpNet>,
    /// The name that the source gave to this edition.
    pub etag: Option<String>,
}

impl List {
    /// A list of `prefixes` in any order.
    #[must_use]
    pub fn new(prefixes: Vec<IpNet>, etag: Option<String>) -> Self {
        Self { prefixes: sorted(prefixes), etag }
    }

    /// The prefixes.
    #[must_use]
    pub fn prefixes(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// Whether this prefix is on it, by itself.
    #[must_use]
    pub fn has(&self, prefix: &IpNet) -> bool {
        self.prefixes.binary_search(prefix).is_ok()
    }

    /// The prefixes with the operator's `extra` ones, each once.
    ///
    /// # Errors
    /// There are more than [`MAX_PREFIXES`] of a family.
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

/// A list, where it was found and when its source last confirmed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The list.
    pub list: List,
    /// Where it was found.
    pub origin: Origin,
    /// When its source last said that this is the list; `None` where it has never been asked.
    pub confirmed: Option<Timestamp>,
}

impl Held {
    /// A list that `origin` tells right now.
    #[must_use]
    pub fn now(list: List, origin: Origin) -> Self {
        Self { list, origin, confirmed: Some(Timestamp::now()) }
    }

    /// Seconds since the list was confirmed; none where the clock has gone back behind that.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<u64> {
        let confirmed = self.confirmed?;
        Some(u64::try_from(now.as_second() - confirmed.as_second()).unwrap_or(0))
    }
}

/// Where the list in force was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The source answered.
    Fetched,
    /// The source answered an earlier run, which kept the list on disk.
    Stored,
    /// Built into the program.
    Snapshot,
    /// The operator's file.
    File,
    /// The configuration.
    Inline,
    /// Nowhere: the source has never answered yet.
    Nowhere,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fetched => "fetched",
            Self::Stored => "stored",
            Self::Snapshot => "snapshot",
            Self::File => "file",
            Self::Inline => "inline",
            Self::Nowhere => "nowhere",
        })
    }
}
