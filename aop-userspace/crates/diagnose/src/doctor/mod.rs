//! `aop doctor`: inspects the running host, attacks both of its locks, and explains the findings.
//!
//! A check is a function from the [`HostContext`] to findings; to add one, add a line to `CHECKS`. The
//! doctor has no rules of its own: it uses `aop check` for files, `prove` for packets, the refusals
//! of the daemon for handshakes, and the verifier of each site for certificates. Every attempt on
//! the network has a deadline, and all attempts together have one.

mod files;
mod finding;
mod host;
mod observed;
mod packets;
mod patient;
mod tls;

use aop_api::{Diagnosis, Finding, FindingGroup};
pub use patient::{CertificatePair, HostContext, HostContextError};

type Check = fn(&HostContext) -> Vec<Finding>;

/// Every check with its group, in the order of the report.
const CHECKS: &[(FindingGroup, Check)] = &[
    (FindingGroup::Files, files::look),
    (FindingGroup::Packets, packets::guard::look),
    (FindingGroup::Packets, packets::ports::look),
    (FindingGroup::Packets, packets::exposed::look),
    (FindingGroup::Packets, packets::udp::look),
    (FindingGroup::Packets, packets::upstream::look),
    (FindingGroup::Packets, packets::others::look),
    (FindingGroup::Packets, packets::list::look),
    (FindingGroup::Packets, packets::clock::look),
    (FindingGroup::Packets, packets::ephemeral::look),
    (FindingGroup::Packets, packets::evasions::look),
    (FindingGroup::Tls, tls::look),
    (FindingGroup::Observed, observed::look),
];

/// Runs every check. Takes a minute at most.
#[must_use]
pub fn diagnose(patient: &HostContext) -> Diagnosis {
    let look = |(group, check): &(FindingGroup, Check)| {
        let found = check(patient).into_iter();
        found.map(|finding| Finding { group: group.clone(), ..finding }).collect::<Vec<_>>()
    };
    Diagnosis::of(CHECKS.iter().flat_map(look).collect())
}
