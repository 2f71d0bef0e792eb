//! The processes in the status document.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The daemon that answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DaemonReport {
    /// Its process id.
    pub pid: u32,
    /// Seconds since it became ready.
    pub uptime_seconds: u64,
    /// Connections that are open now.
    pub open_connections: u64,
}

/// A draining predecessor: a daemon that an upgrade has replaced, and that still serves its
/// connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Predecessor {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Its open connections; `null` where it does not report them.
    pub connections: Option<u64>,
    /// When aop closes the connections that are left.
    pub until: Timestamp,
}

/// The process that terminates TLS and parses the bytes of peers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TerminatorReport {
    /// Its process id.
    pub pid: u32,
    /// The user that it runs as.
    pub user: String,
    /// Whether it answers the daemon. If not, its counters are missing here.
    pub answers: bool,
    /// The kernel's restrictions on it.
    #[serde(default)]
    pub confinement: SandboxReport,
}

/// The sandbox of a process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SandboxReport {
    /// The version of Landlock, such as `abi 7`; `none` where the kernel has none.
    pub landlock: String,
    /// `filter`: a seccomp filter is installed.
    pub seccomp: String,
}
