//! The answer of `aop upgrade`. Names are stable: fields are added, never renamed.

use serde::{Deserialize, Serialize};

/// The result of a handover between two daemons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeResult {
    /// The old daemon.
    pub from: Release,
    /// The new daemon.
    pub to: Release,
    /// Connections that were open in the old daemon, which goes on serving them.
    pub draining: u64,
    /// Seconds after which aop closes the connections that are left.
    pub deadline_seconds: u64,
}

/// A process and its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The version of aop.
    pub version: String,
    /// The process id of the daemon.
    pub pid: u32,
}
