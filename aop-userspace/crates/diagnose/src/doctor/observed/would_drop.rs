//! Packets that the firewall passes only because it observes.

use aop_api::{ActionName, VerdictCount};

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let verdicts = &host.status.verdicts;
    let would: Vec<&VerdictCount> =
        verdicts.iter().filter(|it| it.action == ActionName::WouldDrop).collect();
    let total: u64 = would.iter().map(|it| it.packets).sum();
    if total == 0 {
        return vec![good("would_drop", "enforce would drop nothing that passes now")];
    }
    let finding =
        notice("would_drop", format!("enforce would have dropped {total} packets so far")).cure(
            "`aop strangers` shows their sources; add those that are yours to firewall.extra",
        );
    let seen =
        |it: &&VerdictCount| format!("{}: {} packets, {}", it.interface, it.packets, it.reason);
    vec![finding.seen_all(would.iter().map(seen))]
}
