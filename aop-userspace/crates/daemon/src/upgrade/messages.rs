//! What a daemon and the one that takes over from it say to each other.
//!
//! They may be of different builds. So the first message has its number of this protocol, and stays
//! what it is; the others may change with that number.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which messages follow the greeting.
pub(crate) const PROTOCOL: u32 = 1;

/// The first message, by the daemon that runs. What it may hold beside is not looked at.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub protocol: u32,
    /// Of the program, for people.
    pub version: String,
}

/// What the daemon that runs says then. Descriptors come along with the estate, in this order: the
/// instance lock, the pins' lock where `pins`, a channel for each that is `lingering`, and every listening
/// socket.
#[derive(Debug, Serialize, Deserialize)]
pub enum Old {
    /// All that is handed over.
    Estate { pins: bool, lingering: Vec<Lingering> },
    /// The new one is the daemon now. The old one may linger for as long as this channel is open.
    Left { lingers: Option<Lingering> },
    /// So many connections are open in the old one.
    Open(u64),
}

/// A daemon that was replaced, and in which connections go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lingering {
    pub pid: u32,
    pub version: String,
    /// It ends then at the latest.
    pub until: Timestamp,
}

/// What the new daemon says.
#[derive(Debug, Serialize, Deserialize)]
pub enum New {
    /// It is one that takes over; and its version, for people.
    Here { version: String },
    /// Everything was read and checked: from now on the packet path may change.
    Guarding,
    /// It serves what has this digest, and the old one may leave.
    Served { source: String },
    /// Asks the old one that lingers for the number of its connections.
    HowMany,
    /// It does not, and ends.
    Failed(String),
}
