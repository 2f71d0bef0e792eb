//! The client certificates that peers presented: the answer of `aop identities`, and the file that
//! keeps them over a restart. Names are stable: fields are added, never renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SeenIdentity;

/// The certificates that each site has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenIdentities {
    /// The sites, in the order of the configuration.
    pub sites: Vec<SiteIdentities>,
}

/// The certificates that one site has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteIdentities {
    /// The site's name.
    pub site: String,
    /// The certificates, the last presented first.
    pub identities: Vec<SeenIdentity>,
    /// How many older ones were dropped because there was no room.
    pub forgotten: u64,
}

impl SiteIdentities {
    /// The certificate that was first seen last: during a rollover, the new one.
    #[must_use]
    pub fn newest(&self) -> Option<&SeenIdentity> {
        self.identities.iter().max_by_key(|identity| (identity.first_seen, identity.last_seen))
    }

    /// When a certificate other than the newest was last presented.
    #[must_use]
    pub fn others_last_seen(&self) -> Option<Timestamp> {
        let newest = self.newest()?;
        let others = self.identities.iter().filter(|identity| *identity != newest);
        others.map(|identity| identity.last_seen).max()
    }
}
