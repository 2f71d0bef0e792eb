//! The running host, looked at and attacked through both locks, and explained.
//!
//! A check is a function from the [`Patient`] to findings, and joins by a line in `CHECKS`. Nothing is
//! judged here a second time: files by `aop check`, packets by `prove`, handshakes by the daemon's own
//! refusals, certificates by the site's own verifier. Every attempt on the network has a deadline, and
//! all of them together have one.

mod files;
mod finding;
mod host;
mod observed;
mod packets;
mod patient;
mod tls;

use aop_api::{Diagnosis, Finding};
pub use patient::{ExamineError, Pair, Patient};

type Check = fn(&Patient) -> Vec<Finding>;

/// Every check with its group, in the order in which they are told.
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

/// Looks at everything. Takes a minute at most.
#[must_use]
pub fn diagnose(patient: &Patient) -> Diagnosis {
    let look = |(group, check): &(&str, Check)| {
        let found = check(patient).into_iter();
        let group = (*group).to_owned();
        found.map(|finding| Finding { group: group.clone(), ..finding }).collect::<Vec<_>>()
    };
    Diagnosis::of(CHECKS.iter().flat_map(look).collect())
}
