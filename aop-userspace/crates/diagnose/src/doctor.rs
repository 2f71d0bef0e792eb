//! `aop doctor`: inspects the running host, attacks both of its locks, and explains the findings.
//!
//! A check is a function from the [`HostContext`] to findings; to add one, add it to `CHECKS` here
//! or in its group. The doctor has no rules of its own: it uses `aop check` for files, `prove` for
//! packets, the refusals of the daemon for handshakes, and the verifier of each site for
//! certificates. Every attempt on the network has a deadline, and all attempts together have one.

mod cloudflare;
mod files;
mod finding;
mod fleet;
mod host_context;
mod observed;
mod packets;
mod procfs;
mod start;
mod tls;
mod upstream_place;

use aop_api::{Diagnosis, FindingGroup};
use finding::CheckFinding;
pub use host_context::{CertificatePair, HostContext, HostContextError};
pub use start::check_start;

type Check = fn(&HostContext) -> Vec<CheckFinding>;

/// Every check with its group, in the order of the report.
const CHECKS: &[(FindingGroup, &[Check])] = &[
    (FindingGroup::Files, &[files::check]),
    (FindingGroup::Packets, packets::CHECKS),
    (FindingGroup::Tls, &[tls::check, cloudflare::check]),
    (FindingGroup::Observed, &[observed::check, fleet::check]),
];

/// Runs every check. Takes a minute at most.
#[must_use]
pub fn diagnose(host: &HostContext) -> Diagnosis {
    let mut findings = Vec::new();
    for (group, checks) in CHECKS {
        let found = checks.iter().flat_map(|check| check(host));
        findings.extend(found.map(|finding| finding.in_group(group.clone())));
    }
    Diagnosis::of(findings)
}
