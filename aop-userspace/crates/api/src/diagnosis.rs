//! What `aop doctor` found. Its names are stable: fields are added, never renamed.

use serde::{Deserialize, Serialize};

/// Everything that was looked at and attempted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The version of aop that looked.
    pub version: String,
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// How many findings are `wrong`.
    pub wrong: usize,
    /// The findings: the wrong ones first, then by group.
    pub findings: Vec<Finding>,
}

/// What one look or one kind of attempt came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `files`, `packets`, `tls` or `observed`.
    pub group: String,
    /// The stable name of what was looked for.
    pub name: String,
    /// What it came to.
    pub result: Outcome,
    /// The interface, port, site, file or address that it is about; `null` where it is the host.
    pub about: Option<String>,
    /// What is so, in a sentence.
    pub said: String,
    /// What that was seen by.
    pub evidence: Vec<String>,
    /// What a visitor would see from Cloudflare because of it: `nothing`, or the number of an error and
    /// what it means.
    pub visitor: String,
    /// What to do; `null` where there is nothing to do.
    pub cure: Option<String>,
    /// Commands of the cure, to be copied.
    pub commands: Vec<String>,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// To be mended, now or before enforcing.
    Wrong,
    /// Worth knowing, and perhaps meant.
    Told,
    /// It could not be tried.
    Untried,
    /// As it should be.
    Good,
}

impl Diagnosis {
    /// The findings in their order.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.result);
        let wrong = findings.iter().filter(|it| it.result == Outcome::Wrong).count();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, healthy: wrong == 0, wrong, findings }
    }
}
