//! The client certificates that peers presented: the answer of `aop identities`, and the file that
//! keeps them over a restart.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::stable_names;

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

/// A client certificate that a peer presented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenIdentity {
    /// The site to which it was presented.
    pub site: String,
    /// Its subject.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// Its serial number, in hex.
    pub serial: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// The scope of its proof.
    pub level: IdentityLevel,
    /// The client CA that issued it: `cloudflare-global` or a path.
    pub client_ca: Option<String>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How often it was seen.
    pub pulls: u64,
    /// Its part in the last roll of the site; `null` if it has none. Only `aop identities` tells.
    #[serde(default)]
    pub roll: Option<RollMark>,
}

stable_names! {
    /// The part of a certificate in a roll of `aop cloudflare roll`.
    RollMark {
        /// The roll puts it in place.
        New = "new",
        /// It was at Cloudflare before.
        Old = "old",
    }
}

stable_names! {
    /// The scope of the proof of a client certificate.
    IdentityLevel {
        /// The Cloudflare network.
        Global = "global",
        /// A zone or hostname of the operator.
        Own = "own",
        /// Nothing: none of the site's client CAs issued it.
        NoCa = "unknown",
    }
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
