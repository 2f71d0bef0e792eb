//! The result of a reload: the answer of `aop reload`, and a part of the status.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A finished reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadResult {
    /// When it finished.
    pub at: Timestamp,
    /// Its cause.
    pub by: ReloadedBy,
    /// The result.
    pub outcome: ReloadOutcome,
    /// Path of the configuration.
    pub file: String,
    /// The changed files that caused it, at most a hundred.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Sites that were loaded; 0 where none were.
    pub sites: usize,
    /// Files that those sites name; 0 where nothing was loaded.
    pub files: usize,
    /// Warnings about the configuration that was loaded.
    pub warnings: Vec<String>,
    /// Why it was refused; `null` where it was not.
    pub error: Option<String>,
}

/// The cause of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadedBy {
    /// SIGHUP.
    Signal,
    /// `aop reload`.
    Command,
    /// A file that a site names has changed.
    Files,
    /// The configuration file has changed.
    Configuration,
    /// A cause of another version of aop.
    #[serde(other)]
    Unknown,
}

/// The result of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The new configuration is in force.
    Applied,
    /// The old configuration stays in force.
    Refused,
    /// The reload was refused; since then the files have changed back to what is in force.
    ChangedBack,
    /// An outcome of another version of aop.
    #[serde(other)]
    Unknown,
}
