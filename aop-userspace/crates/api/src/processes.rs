//! The processes that the status document tells of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The process that answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DaemonReport {
    /// Its process id.
    pub pid: u32,
    /// Seconds since it was ready.
    pub uptime_seconds: u64,
    /// Connections that are open now.
    pub open_connections: u64,
}

/// A daemon that was replaced, and in which connections go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Predecessor {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Connections that are open in it; `null` where it does not say.
    pub connections: Option<u64>,
    /// When those that are left are cut.
    pub until: Timestamp,
}

/// The process that parses what peers say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TerminatorReport {
    /// Its process id.
    pub pid: u32,
    /// The user that it runs as.
    pub user: String,
    /// Whether it answers the daemon. Where not, its counters are missing here.
    pub answers: bool,
    /// What the kernel fences it in with.
    #[serde(default)]
    pub confinement: Confinement,
}

/// Fences of the kernel around a process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// `abi 7`, the kernel's version of Landlock; `none` where it has none.
    pub landlock: String,
    /// `filter`.
    pub seccomp: String,
}
