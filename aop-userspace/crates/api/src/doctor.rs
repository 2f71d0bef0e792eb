//! The document of `aop doctor`.

use serde::{Deserialize, Serialize};

use crate::names::stable_names;

/// Every check and every attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The version of aop that made the checks.
    pub version: String,
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// Number of findings that are `wrong`.
    pub wrong: usize,
    /// The findings: the wrong ones first, then by group.
    pub findings: Vec<Finding>,
}

/// The result of one check, or of one kind of attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The object of the check.
    pub group: FindingGroup,
    /// Stable name of the check.
    pub name: String,
    /// The result.
    pub result: FindingOutcome,
    /// The interface, port, site, file or address that it concerns; `null` where it concerns the
    /// host.
    pub about: Option<String>,
    /// The finding, as a sentence.
    pub said: String,
    /// The observations that support it.
    pub evidence: Vec<String>,
    /// The result for a visitor behind Cloudflare.
    pub visitor: VisitorError,
    /// How to correct it; `null` where there is nothing to correct.
    pub cure: Option<String>,
    /// Commands that correct it, ready to be copied.
    pub commands: Vec<String>,
}

stable_names! {
    /// The subject of a check.
    FindingGroup {
        /// The configuration and its files.
        Files = "files",
        /// The packet program, and the way of packets.
        Packets = "packets",
        /// The listening sites.
        Tls = "tls",
        /// Observations of the running daemon.
        Observed = "observed",
    }
}

stable_names! {
    /// The error that Cloudflare shows to visitors: its number and meaning.
    VisitorError {
        /// None.
        Nothing = "nothing",
        /// Nothing listens.
        Refused = "521 (the origin refuses the connection)",
        /// Packets are dropped.
        Silence = "522 (the origin's port is silent)",
        /// The edge and the origin disagree.
        Tls = "520 or 525 (the TLS handshake fails)",
        /// The edge does not trust the origin.
        Certificate = "526 under Full (strict) (the server certificate is bad)",
        /// aop gets no answer of the application.
        BadGateway = "502 (the application does not answer)",
        /// The edge speaks HTTP.
        Plain = "400 (this port speaks TLS)",
    }
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingOutcome {
    /// Must be corrected, now or before enforcing.
    Wrong,
    /// Worth knowing; may be intended.
    Told,
    /// The check could not be made.
    Untried,
    /// As it should be.
    Good,
}

impl Diagnosis {
    /// The document of these findings, the wrong ones first.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.result);
        let wrong = findings.iter().filter(|it| it.result == FindingOutcome::Wrong).count();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, healthy: wrong == 0, wrong, findings }
    }
}
