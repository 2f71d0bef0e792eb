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

use aop_api::{Diagnosis, Finding};
pub use patient::{CertificatePair, HostContext, HostContextError};

type Check = fn(&HostContext) -> Vec<Finding>;

/// Every check with its group, in the order of the report.
const CHECKS: &[(&str, Check)] = &[
    ("files", files::look),
    ("packets", packets::guard::look),
    ("packets", packets::ports::look),
    ("packets", packets::exposed::look),
    ("packets", packets::udp::look),
    ("packets", packets::upstream::look),
    ("packets", packets::others::look),
    ("packets", packets::list::look),
    ("packets", packets::clock::look),
    ("packets", packets::ephemeral::look),
    ("packets", packets::evasions::look),
    ("tls", tls::look),
    ("observed", observed::look),
];

/// Runs every check. Takes a minute at most.
#[must_use]
pub fn diagnose(patient: &HostContext) -> Diagnosis {
    let look = |(group, check): &(&str, Check)| {
        let found = check(patient).into_iter();
        let group = (*group).to_owned();
        found.map(|finding| Finding { group: group.clone(), ..finding }).collect::<Vec<_>>()
    };
    Diagnosis::of(CHECKS.iter().flat_map(look).collect())
}
