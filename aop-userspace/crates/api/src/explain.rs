//! The documents of `aop explain`.

use std::net::IpAddr;

use aop_common::Standing;
use serde::{Deserialize, Serialize};

use crate::{ActionName, ModeName, names::stable_names};

/// The verdict on a packet from one source, and its cause.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The action.
    pub action: ActionName,
    /// The reason's stable name, from the table of packet reasons.
    pub reason: String,
    /// Whether it passes only because the mode is observe.
    pub would_drop: bool,
    /// The verdict as a sentence.
    pub detail: String,
    /// The source.
    pub source: IpAddr,
    /// The destination.
    pub destination: IpAddr,
    /// The TCP port.
    pub port: u16,
    /// The interface that receives it.
    pub interface: String,
    /// Enforce or observe.
    pub mode: ModeName,
    /// Number of the policy in force; each applied policy increments it.
    pub generation: u32,
    /// The longest prefix that contains the source.
    pub prefix: Option<String>,
    /// The standing of the source among the prefixes.
    pub standing: StandingName,
    /// Seconds until the prefix stops draining.
    pub drains_for_seconds: Option<u64>,
    /// Whether the source has authenticated.
    pub authenticated: bool,
    /// The guarded TCP ports.
    pub guarded_ports: Vec<u16>,
    /// The budget of the source's network now; `null` where it has none.
    pub budget: Option<BudgetNow>,
    /// The probation of a source that no prefix admits; `null` where `firewall.strangers` gives no
    /// tries.
    pub probation: Option<ProbationNow>,
    /// Budget and probation as a sentence.
    pub now: Option<String>,
    /// Why the host's own packet filter, which comes after aop, drops the packet or sends it
    /// elsewhere; `null` where nothing is known to do so, or aop drops it.
    #[serde(default)]
    pub netfilter: Option<String>,
}

/// The budget of an admitted network at this moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BudgetNow {
    /// The network: a /24 or /48.
    pub network: String,
    /// New connections a second that it gains, and the most that it can hold.
    pub per_second: u32,
    /// New connections that are left.
    pub left: f64,
    /// New connections that are left to all networks without a peer together.
    pub host_left: f64,
    /// Whether the next new connection is dropped.
    pub over: bool,
    /// Which authenticated peer exempts it from the budget; `null` where none does.
    pub exempt: Option<BudgetExemption>,
}

/// Probation of a source that no prefix admits, at this moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProbationNow {
    /// Tries a second that all strangers gain together, and the most that they can hold.
    pub per_second: u32,
    /// Tries that are left to all strangers.
    pub left: f64,
    /// Whether the next new connection of this source is dropped.
    pub over: bool,
    /// Seconds for which its own try still counts.
    pub tried_for_seconds: Option<u64>,
    /// Seconds for which it is trusted because it has authenticated.
    pub trusted_for_seconds: Option<u64>,
}

/// The verdicts on the frames of a capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaptureExplanation {
    /// Path of the capture.
    pub file: String,
    /// The interface on which its frames are judged.
    pub interface: String,
    /// Enforce or observe.
    pub mode: ModeName,
    /// Number of the policy in force; each applied policy increments it.
    pub generation: u32,
    /// Frames that were judged.
    pub frames: u64,
    /// Frames too short for an Ethernet header; they are not judged.
    pub too_short: u64,
    /// Whether the capture ends within a frame.
    pub ends_early: bool,
    /// One entry for each source, port and reason, the most frequent first.
    pub verdicts: Vec<CaptureVerdict>,
}

/// Frames of one source, port and reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaptureVerdict {
    /// The action.
    pub action: ActionName,
    /// The reason's stable name, from the table of packet reasons.
    pub reason: String,
    /// Whether they pass only because the mode is observe.
    pub would_drop: bool,
    /// The verdict as a sentence.
    pub detail: String,
    /// The source; `null` where none can be read.
    pub source: Option<IpAddr>,
    /// The TCP port; `null` where there is none or it cannot be read.
    pub port: Option<u16>,
    /// Number of frames.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

stable_names! {
    /// The standing of a source among the prefixes.
    StandingName {
        /// A prefix admits it.
        Admitted = "admitted",
        /// Its prefix has left the list, and still admits authenticated peers.
        Draining = "draining",
        /// No prefix contains it.
        Outside = "unknown",
    }
}

impl From<Standing> for StandingName {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Admitted => Self::Admitted,
            Standing::Draining => Self::Draining,
            Standing::Unknown => Self::Outside,
        }
    }
}

stable_names! {
    /// Which authenticated peer exempts a source from the budget of its network.
    BudgetExemption {
        /// The source itself.
        Source = "source",
        /// Another peer in its network.
        Network = "network",
    }
}
