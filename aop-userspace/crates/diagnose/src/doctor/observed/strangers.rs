//! Packets that the firewall passes only because it observes.

use aop_api::Finding;

use crate::doctor::{
    HostContext,
    finding::{More, good, told},
};

pub(super) fn look(patient: &HostContext) -> Vec<Finding> {
    let verdicts = &patient.status.verdicts;
    let would: Vec<_> = verdicts.iter().filter(|it| it.action == "would_drop").collect();
    let total: u64 = would.iter().map(|it| it.packets).sum();
    if total == 0 {
        return vec![good("would_drop", "enforce would drop nothing that passes now")];
    }
    let finding = told("would_drop", format!("enforce would have dropped {total} packets so far"))
        .cure("`aop drops` shows their sources; add those that are yours to firewall.extra");
    let seen = |finding: Finding, it: &&aop_api::VerdictCount| {
        finding.seen(format!("{}: {} packets, {}", it.interface, it.packets, it.reason))
    };
    vec![would.iter().fold(finding, seen)]
}
