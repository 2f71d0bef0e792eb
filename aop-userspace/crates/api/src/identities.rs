//! The client certificates that were really presented: the answer of `aop identities`, and the file
//! that keeps it over a restart. Its names are stable: fields are added, never renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Identity;

/// What each site has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    /// By the order of the configuration.
    pub sites: Vec<SiteIdentities>,
}

/// What one site has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteIdentities {
    /// The site's name.
    pub site: String,
    /// The certificates, the one that was presented last first.
    pub identities: Vec<Identity>,
    /// How many others made room for them.
    pub forgotten: u64,
}

impl SiteIdentities {
    /// The certificate that arrived last: during a rollover, the new one.
    #[must_use]
    pub fn newest(&self) -> Option<&Identity> {
        self.identities.iter().max_by_key(|identity| (identity.first_seen, identity.last_seen))
    }

    /// The last moment at which another one than that was presented.
    #[must_use]
    pub fn others_last_seen(&self) -> Option<Timestamp> {
        let newest = self.newest()?;
        let others = self.identities.iter().filter(|identity| *identity != newest);
        others.map(|identity| identity.last_seen).max()
    }
}
