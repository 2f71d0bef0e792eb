//! What `aop upgrade` answers. The names are stable: fields are added, never renamed.

use serde::{Deserialize, Serialize};

/// One daemon has taken over from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The one that served until now.
    pub from: Release,
    /// The one that serves.
    pub to: Release,
    /// Connections that were open in the old one. They come to their end there.
    pub draining: u64,
    /// After so many seconds those that have not are cut.
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
