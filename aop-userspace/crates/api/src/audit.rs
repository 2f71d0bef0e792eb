//! One line of `audit.log`: who requested a change, and the result.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{OrderedBy, Request};

/// A request that was carried out or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When the request was finished.
    pub at: Timestamp,
    /// The user id of the client, from SO_PEERCRED.
    pub uid: u32,
    /// The user's name; `null` where the system has none.
    pub user: Option<String>,
    /// The client's process id; `null` where it lies in a PID namespace that is not visible here.
    pub pid: Option<i32>,
    /// The order of a fleet's operator that asked for it; `null` for a request of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderedBy>,
    /// The request, as it was received.
    pub request: Request,
    /// Whether it was carried out.
    pub outcome: AuditOutcome,
    /// Why it was refused; `null` where it was carried out.
    pub error: Option<String>,
}

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was carried out.
    Done,
    /// It was refused, and nothing changed.
    Refused,
}
