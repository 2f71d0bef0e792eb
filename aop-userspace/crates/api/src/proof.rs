//! The document of `aop prove`. Names are stable: fields are added, never renamed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Every shape that was tried, and the verdict on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProveReport {
    /// The interface on which the frames arrived.
    pub interface: String,
    /// `enforce` or `observe`; under observe a drop is one that enforcing would make.
    pub mode: String,
    /// Number of the policy in force; each applied policy increments it.
    pub generation: u32,
    /// The guarded port to which the frames went.
    pub port: u16,
    /// Sources that nothing admits.
    pub strangers: Vec<IpAddr>,
    /// Sources that the list admits.
    pub admitted: Vec<IpAddr>,
    /// Authenticated peers in draining prefixes.
    pub peers: Vec<IpAddr>,
    /// Addresses to which this host forwards.
    pub beyond: Vec<IpAddr>,
    /// Frames that got the expected verdict.
    pub passed: usize,
    /// Frames that got another verdict.
    pub failed: usize,
    /// Shapes of which no frame was run: those in `not_runnable`, and those in `not_applicable`
    /// that name no rule.
    pub not_tried: usize,
    /// The groups of shapes.
    pub groups: Vec<ProofGroup>,
    /// The wrong verdicts.
    pub failures: Vec<ProofFailure>,
    /// Every frame that was run.
    pub shapes: Vec<ProofShape>,
    /// Shapes that have no meaning on this host, and rules of shapes that are off here.
    pub not_applicable: Vec<ProofUntried>,
    /// Shapes that the kernel cannot run.
    pub not_runnable: Vec<ProofUntried>,
}

/// A frame that was run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofShape {
    /// Family, source and shape.
    pub name: String,
    /// File and line of the shape in the packet table.
    pub place: String,
    /// The group.
    pub group: String,
    /// The expected verdict.
    pub owes: String,
    /// The actual verdict.
    pub got: String,
    /// Whether it was run with all budgets spent.
    pub spent: bool,
}

/// A shape that was not tried, or was tried without one of its rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofUntried {
    /// Family, source and shape.
    pub name: String,
    /// File and line of the shape in the packet table.
    pub place: String,
    /// The rule that is off here; `null` where the shape was not run at all.
    pub rule: Option<String>,
    /// The reason.
    pub why: String,
}

/// A group of shapes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofGroup {
    /// The subject of the group.
    pub name: String,
    /// Frames that were run.
    pub tried: usize,
    /// Frames that were dropped, or would be.
    pub dropped: usize,
    /// Frames that were passed.
    pub passed: usize,
    /// Frames whose verdict was wrong.
    pub wrong: usize,
}

/// A wrong verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofFailure {
    /// Family, source and shape.
    pub name: String,
    /// The expected verdict.
    pub owes: String,
    /// The actual verdict.
    pub got: String,
    /// File and line of the shape in the packet table.
    pub place: String,
    /// Whether it was run with all budgets spent.
    pub spent: bool,
}
