//! What `aop explain` answers. Its names are stable: fields are added, never renamed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What becomes of a packet from one source, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// `pass`, `drop` or `would_drop`.
    pub action: String,
    /// The reason's stable name.
    pub reason: String,
    /// Whether it passes only because the mode is observe.
    pub would_drop: bool,
    /// The same, for people.
    pub detail: String,
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes to.
    pub destination: IpAddr,
    /// To which TCP port.
    pub port: u16,
    /// The interface that it comes in on.
    pub interface: String,
    /// `enforce` or `observe`.
    pub mode: String,
    /// Counts the policies that have been applied.
    pub generation: u32,
    /// The longest prefix that the source lies in.
    pub prefix: Option<String>,
    /// `admitted`, `draining` or `unknown`.
    pub standing: String,
    /// How long the prefix still drains, in seconds.
    pub drains_for_seconds: Option<u64>,
    /// Whether the source has authenticated.
    pub authenticated: bool,
    /// The guarded TCP ports.
    pub guarded_ports: Vec<u16>,
    /// What the network of an admitted source has left now; `null` where it has no budget.
    pub budget: Option<BudgetNow>,
    /// How a stranger stands now; `null` where strangers are given no tries.
    pub probation: Option<ProbationNow>,
    /// What budget and probation say, for people.
    pub now: Option<String>,
}

/// The budget of an admitted network at this moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BudgetNow {
    /// The /24 or /48.
    pub network: String,
    /// New connections a second that it gains, and the most that it holds.
    pub per_second: u32,
    /// New connections that are left.
    pub left: f64,
    /// Whether a new connection is dropped now.
    pub over: bool,
    /// Who has authenticated, so that nothing is spent: the `source`, or somebody in its `network`.
    pub exempt: Option<String>,
}

/// How a source that no prefix admits stands at this moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProbationNow {
    /// Tries a second that all strangers gain together, and the most that they hold.
    pub per_second: u32,
    /// Tries that are left to them.
    pub left: f64,
    /// Whether a new connection of this source is dropped now.
    pub over: bool,
    /// For how long its own try still counts, in seconds.
    pub tried_for_seconds: Option<u64>,
    /// For how long it is trusted, since it has authenticated, in seconds.
    pub trusted_for_seconds: Option<u64>,
}

/// What becomes of the frames of a capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaptureExplanation {
    /// The capture.
    pub file: String,
    /// The interface that its frames are judged on.
    pub interface: String,
    /// `enforce` or `observe`.
    pub mode: String,
    /// Counts the policies that have been applied.
    pub generation: u32,
    /// Frames that were judged.
    pub frames: u64,
    /// Frames too short for an Ethernet header, which were not.
    pub too_short: u64,
    /// Whether the capture ends in the middle of a frame.
    pub ends_early: bool,
    /// One for each source, port and reason, the most frequent first.
    pub verdicts: Vec<CaptureVerdict>,
}

/// Frames of one source, port and reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaptureVerdict {
    /// `pass`, `drop` or `would_drop`.
    pub action: String,
    /// The reason's stable name.
    pub reason: String,
    /// Whether they pass only because the mode is observe.
    pub would_drop: bool,
    /// The same, for people.
    pub detail: String,
    /// Where they come from; `null` where no source is read.
    pub source: Option<IpAddr>,
    /// Their TCP port; `null` where it is none or cannot be known.
    pub port: Option<u16>,
    /// How many frames.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}
