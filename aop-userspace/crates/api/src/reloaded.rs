//! What came of a reload: the answer to `aop reload`, and a part of the status. Its names are stable:
//! fields are added, never renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A reload that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// When it was over.
    pub at: Timestamp,
    /// What it was done for.
    pub by: ReloadedBy,
    /// What came of it.
    pub outcome: ReloadOutcome,
    /// The configuration's file.
    pub file: String,
    /// The files whose change it was done for, the first hundred.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Sites that were loaded; 0 where nothing was.
    pub sites: usize,
    /// Files that those sites name; 0 where nothing was loaded.
    pub files: usize,
    /// What an operator should know of what was loaded.
    pub warnings: Vec<String>,
    /// Why it was refused; `null` where it was not.
    pub error: Option<String>,
}

/// What a reload was done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadedBy {
    /// SIGHUP.
    Signal,
    /// `aop reload`.
    Command,
    /// Files that sites name have changed.
    Files,
    /// The configuration's file has changed.
    Configuration,
}

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// What was read is in force.
    Applied,
    /// What was in force before serves on.
    Refused,
    /// It was refused, and what had changed is now again as it is in force.
    ChangedBack,
}
