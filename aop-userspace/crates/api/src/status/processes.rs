//! The processes in the status document.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::stable_names;

/// The daemon that answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DaemonReport {
    /// Its process id.
    pub pid: u32,
    /// Seconds since it became ready.
    pub uptime_seconds: u64,
    /// Connections that are open now.
    pub open_connections: u64,
    /// When the configuration file was changed, where it differs from what runs; `null` where it
    /// does not.
    #[serde(default)]
    pub config_changed: Option<Timestamp>,
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxReport {
    /// The version of Landlock, such as `abi 7`; `none` where the kernel has none.
    pub landlock: LandlockReport,
    /// The filter of system calls.
    pub seccomp: SeccompReport,
}

/// The version of Landlock that restricts a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum LandlockReport {
    /// This one.
    Abi(i32),
    /// The kernel has none.
    None,
    /// A text of another version of aop.
    Unknown(String),
}

stable_names! {
    /// The filter of system calls that restricts a process.
    SeccompReport {
        /// A seccomp filter is installed.
        Filter = "filter",
    }
}

impl Default for SandboxReport {
    /// The sandbox in a document of a version that did not report it.
    fn default() -> Self {
        Self { landlock: LandlockReport::from(String::new()), seccomp: SeccompReport::from("") }
    }
}

impl From<String> for LandlockReport {
    fn from(text: String) -> Self {
        match text.strip_prefix("abi ").and_then(|abi| abi.parse().ok()) {
            Some(abi) => Self::Abi(abi),
            None if text == "none" => Self::None,
            None => Self::Unknown(text),
        }
    }
}

impl From<LandlockReport> for String {
    fn from(report: LandlockReport) -> Self {
        report.to_string()
    }
}

impl fmt::Display for LandlockReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abi(abi) => write!(f, "abi {abi}"),
            Self::None => f.write_str("none"),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_landlock_are_written_as_they_were_read() {
        let read = |text: &str| LandlockReport::from(text.to_owned());
        assert_eq!(read("abi 7"), LandlockReport::Abi(7));
        assert_eq!(read("none"), LandlockReport::None);
        for text in ["abi 7", "none", "abi seven", ""] {
            assert_eq!(read(text).to_string(), text);
        }
    }
}
