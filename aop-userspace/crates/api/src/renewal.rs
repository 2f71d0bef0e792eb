//! The document of `aop cloudflare renew`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{PresentedLevel, names::stable_names};

/// A pass of renewals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalReport {
    /// Whether nothing failed.
    pub healthy: bool,
    /// Why there was nothing to do; `null` where a site is listed.
    pub nothing: Option<String>,
    /// The sites with a roll or a certificate of their own, and those that failed.
    pub sites: Vec<RenewedSite>,
}

/// The pass for one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewedSite {
    /// The site.
    pub site: String,
    /// The level of its certificate; `null` if it is not known.
    pub level: Option<PresentedLevel>,
    /// Its expiry; `null` if it is not known.
    pub ends: Option<Timestamp>,
    /// The outcome.
    pub outcome: RenewalOutcome,
    /// The same as a sentence.
    pub said: String,
    /// Notes of its roll for the operator.
    pub notes: Vec<String>,
}

stable_names! {
    /// The outcome of a pass for a site.
    RenewalOutcome {
        /// Nothing was to be done yet.
        Later = "later",
        /// The roll is not at its end: a later pass goes on.
        Waiting = "waiting",
        /// The roll came to its end.
        Done = "done",
        /// It failed, and nothing that is in use was changed.
        Failed = "failed",
    }
}
