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
    /// Frames whose verdict was the one they owe.
    pub passed: usize,
    /// Frames whose verdict was another.
    pub failed: usize,
    /// Frames that this host has no source or route for, or the kernel runs none so short.
    pub not_tried: usize,
    /// The groups of shapes.
    pub groups: Vec<ProofGroup>,
    /// The wrong verdicts.
    pub failures: Vec<ProofFailure>,
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
}
