//! Who had something changed, and what came of it: a line of `audit.log`. The names are stable: fields
//! are added, never renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Request;

/// One request that was carried out or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// When that was over.
    pub at: Timestamp,
    /// Who asked, as the kernel says it.
    pub uid: u32,
    /// Their name; `null` where the system knows none.
    pub user: Option<String>,
    /// The process that asked; `null` where this one cannot see it.
    pub pid: Option<i32>,
    /// What was asked, as it came.
    pub request: Request,
    /// Whether it was done.
    pub outcome: AuditedOutcome,
    /// Why it was not; `null` where it was.
    pub error: Option<String>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditedOutcome {
    /// It was done.
    Done,
    /// Everything stays as it was.
    Refused,
}
