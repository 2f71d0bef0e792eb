//! The messages between a daemon and its successor during a handover.
//!
//! The two may be different builds. So the first message carries the version of this protocol and
//! never changes its form; the other messages may change with that version.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the messages after the greeting.
pub(crate) const PROTOCOL: u32 = 1;

/// The first message, sent by the running daemon. Unknown fields are ignored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub protocol: u32,
    /// The version of the program, for people.
    pub version: String,
}

/// The messages of the predecessor. The descriptors that come with the handover state are, in this
/// order: the instance lock, the lock of the pins if `pins`, a channel for each process in
/// `lingering`, and every listening socket.
#[derive(Debug, Serialize, Deserialize)]
pub enum Old {
    /// The handover state.
    Estate { pins: bool, lingering: Vec<Lingering> },
    /// The successor is the daemon now. The predecessor may drain for as long as this channel is
    /// open.
    Left { lingers: Option<Lingering> },
    /// The number of connections that are open in the predecessor.
    Open(u64),
}

/// A draining predecessor: a daemon that was replaced, whose terminator still has connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lingering {
    pub pid: u32,
    pub version: String,
    /// Its deadline: it ends then at the latest.
    pub until: Timestamp,
}

/// The messages of the successor.
#[derive(Debug, Serialize, Deserialize)]
pub enum New {
    /// It is ready to take over. Its version is for people.
    Here { version: String },
    /// It has read and checked everything: from now on it may change the packet path.
    Guarding,
    /// It serves the configuration with this digest, and the predecessor may drain.
    Served { source: String },
    /// Asks a draining predecessor for the number of its connections.
    HowMany,
    /// It cannot take over, and ends.
    Failed(String),
}
