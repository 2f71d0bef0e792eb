//! Runs every shape of the packet table on each guarded interface, as `aop prove` does.

use aop_api::{Finding, ProofFailure, ProveReport};
use aop_firewall::DryRun;

use crate::{
    doctor::{
        HostContext,
        finding::{More, good, untried, visitor, wrong},
    },
    prove,
};

/// The most wrong verdicts that are listed.
const NAMED: usize = 5;

pub(in crate::doctor) fn look(patient: &HostContext) -> Vec<Finding> {
    let attached = patient.status.interfaces.iter().filter(|it| it.attached);
    attached.map(|it| interface(patient, &it.name).about(&it.name)).collect()
}

fn interface(patient: &HostContext, name: &str) -> Finding {
    let proved = DryRun::open(&patient.paths.pins, Some(name))
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
                visitor::NOTHING,
                "this is a fault of aop: please report the output of `aop prove --json`; until it \
                 is fixed, trust only the TLS lock",
            );
            let seen = |finding: Finding, it: &ProofFailure| {
                finding.seen(format!("{}: expected {}, got {}", it.name, it.owes, it.got))
            };
            proof.failures.iter().take(NAMED).fold(finding, seen)
        }
        Err(error) => untried("evasions", error.to_string()),
    }
}
