//! What `aop prove` found. Its names are stable: fields are added, never renamed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Every shape that was tried, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proof {
    /// The interface that frames came in on.
    pub interface: String,
    /// `enforce` or `observe`; in the latter a drop is one that enforcing would make.
    pub mode: String,
    /// Counts the policies that have been applied.
    pub generation: u32,
    /// The guarded port that frames went to.
    pub port: u16,
    /// Sources that nothing admits.
    pub strangers: Vec<IpAddr>,
    /// Sources that the list admits.
    pub admitted: Vec<IpAddr>,
    /// Authenticated peers in prefixes that drain.
    pub peers: Vec<IpAddr>,
    /// Addresses that this host forwards to.
    pub beyond: Vec<IpAddr>,
    /// Frames whose verdict was the one they owe.
    pub passed: usize,
    /// Frames whose verdict was another.
    pub failed: usize,
    /// Shapes of which no frame was run: those of `not_runnable`, and of `not_applicable` without a
    /// rule.
    pub not_tried: usize,
    /// The groups of shapes.
    pub groups: Vec<ProofGroup>,
    /// The wrong verdicts.
    pub failures: Vec<ProofFailure>,
    /// Every frame that was run.
    pub shapes: Vec<ProofShape>,
    /// Shapes that mean nothing on this host, and rules of them that are off here.
    pub not_applicable: Vec<ProofUntried>,
    /// Shapes that the kernel cannot run.
    pub not_runnable: Vec<ProofUntried>,
}

/// A frame that was run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofShape {
    /// Family, source and shape.
    pub name: String,
    /// Where the shape stands in `aop-common/corpus`: file and line.
    pub place: String,
    /// The group.
    pub group: String,
    /// The verdict that it owes.
    pub owes: String,
    /// The verdict that it got.
    pub got: String,
    /// Whether it was run with nothing left of the budgets.
    pub spent: bool,
}

/// A shape that was not tried, or not under one of its rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofUntried {
    /// Family, source and shape.
    pub name: String,
    /// Where the shape stands in `aop-common/corpus`: file and line.
    pub place: String,
    /// The rule that is off here; `null` where the shape was not run at all.
    pub rule: Option<String>,
    /// Why.
    pub why: String,
}

/// A group of shapes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofGroup {
    /// What they are about.
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
    /// The verdict that it owes.
    pub owes: String,
    /// The verdict that it got.
    pub got: String,
    /// Where the shape stands in `aop-common/corpus`: file and line.
    pub place: String,
    /// Whether it was run with nothing left of the budgets.
    pub spent: bool,
}
