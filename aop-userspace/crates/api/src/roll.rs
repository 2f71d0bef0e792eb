//! The document of `aop cloudflare roll` and `aop cloudflare back`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::stable_names;

/// A roll, when the command ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollResult {
    /// The site's name.
    pub site: String,
    /// The zone's name.
    pub zone: String,
    /// The certificate to put in place: `zone`, `host`, `back_to_zone` or `back_to_global`.
    pub target: String,
    /// Its state.
    pub state: RollState,
    /// The steps that were reached, in their order.
    pub steps: Vec<RollStepAt>,
    /// The serial number of the leaf, in hex.
    pub serial: Option<String>,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: Option<String>,
    /// The end of its validity.
    pub not_after: Option<Timestamp>,
    /// Its identifier at Cloudflare.
    pub certificate: Option<String>,
    /// The event that the roll waits for.
    pub waits_for: Option<String>,
    /// Why it cannot go on.
    pub stopped: Option<String>,
    /// The cure.
    pub cure: Option<String>,
    /// The last failure of a call, unless a later one succeeded.
    pub last_error: Option<String>,
    /// Notes for the operator.
    pub notes: Vec<String>,
}

/// A step that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollStepAt {
    /// `made`, `trusted`, `uploaded`, `active`, `switched_on`, `seen`, `settled` or `done`.
    pub step: String,
    /// When.
    pub at: Timestamp,
}

stable_names! {
    /// The state of a roll.
    RollState {
        /// The target is in place, and the old certificates are deleted.
        Done = "done",
        /// It was taken back.
        Undone = "undone",
        /// It was not done in time, or calls failed: run it again.
        Waiting = "waiting",
        /// Somebody must decide.
        Stopped = "stopped",
    }
}
