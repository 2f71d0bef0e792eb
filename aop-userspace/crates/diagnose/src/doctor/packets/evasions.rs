//! Runs every shape of the packet table on each guarded interface, as `aop prove` does.

use aop_api::{ProofFailure, ProveReport, VisitorError};
use aop_firewall::DryRun;

use crate::{
    doctor::{
        HostContext,
        finding::{CheckFinding, good, untried, wrong},
    },
    prove,
};

/// The most wrong verdicts that are listed.
const MAX_EVIDENCE: usize = 5;

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let attached = host.status.interfaces.iter().filter(|it| it.attached);
    attached.map(|it| interface(host, &it.name).about(&it.name)).collect()
}

fn interface(host: &HostContext, name: &str) -> CheckFinding {
    let proved = DryRun::open(&host.paths.pins, Some(name))
        .map_err(prove::ProveError::from)
        .and_then(|mut live| prove::prove(&mut live));
    match proved {
        Ok(proof) if proof.failed == 0 => {
            let ProveReport { passed, generation, .. } = proof;
            let said = "no known shape of a packet evades the packet lock, in IPv4 and IPv6";
            good("evasions", said).seen(format!("{passed} shapes, policy {generation}"))
        }
        Ok(proof) => {
            let finding = wrong(
                "evasions",
                format!("{} shapes of packets get a wrong verdict", proof.failed),
                VisitorError::Nothing,
                "this is a fault of aop: please report the output of `aop prove --json`; until it \
                 is fixed, trust only the TLS lock",
            );
            let seen =
                |it: &ProofFailure| format!("{}: expected {}, got {}", it.name, it.owes, it.got);
            finding.seen_all(proof.failures.iter().take(MAX_EVIDENCE).map(seen))
        }
        Err(error) => untried("evasions", error.to_string()),
    }
}
