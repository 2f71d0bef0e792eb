//! What enforcing would drop, or drops.

use aop_api::Finding;

use crate::doctor::{
    Patient,
    finding::{More, good, told},
};

pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let verdicts = &patient.status.verdicts;
    let would: Vec<_> = verdicts.iter().filter(|it| it.action == "would_drop").collect();
    let total: u64 = would.iter().map(|it| it.packets).sum();
    if total == 0 {
        return vec![good("would_drop", "enforcing would drop nothing that passes now")];
    }
    let finding =
        told("would_drop", format!("enforcing would have dropped {total} packets until now"))
            .cure("`aop drops` shows from where; who of them is yours belongs into firewall.extra");
    let seen = |finding: Finding, it: &&aop_api::Verdict| {
        finding.seen(format!("{}: {} packets, {}", it.interface, it.packets, it.reason))
    };
    vec![would.iter().fold(finding, seen)]
}
