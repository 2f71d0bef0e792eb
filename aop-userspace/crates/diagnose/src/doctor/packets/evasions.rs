//! Every shape of the packet table against each guarded interface, as `aop prove` runs them.

use aop_api::{Finding, Proof, ProofFailure};
use aop_firewall::Live;

use crate::{
    doctor::{
        Patient,
        finding::{More, good, untried, visitor, wrong},
    },
    prove,
};

/// Wrong verdicts that are named.
const NAMED: usize = 5;

pub(in crate::doctor) fn look(patient: &Patient) -> Vec<Finding> {
    let attached = patient.status.interfaces.iter().filter(|it| it.attached);
    attached.map(|it| interface(patient, &it.name).about(&it.name)).collect()
}

fn interface(patient: &Patient, name: &str) -> Finding {
    let proved = Live::open(&patient.paths.pins, Some(name))
        .map_err(prove::ProveError::from)
        .and_then(|mut live| prove::prove(&mut live));
    match proved {
        Ok(proof) if proof.failed == 0 => {
            let Proof { passed, generation, .. } = proof;
            let said = "no shape of a packet gets past the packet lock, in IPv4 and IPv6";
            good("evasions", said).seen(format!("{passed} shapes, policy {generation}"))
        }
        Ok(proof) => {
            let finding = wrong(
                "evasions",
                format!("{} shapes of packets get a wrong verdict", proof.failed),
                visitor::NOTHING,
                "that is a fault of aop: please report what `aop prove --json` says; until then trust \
                 the TLS lock alone",
            );
            let seen = |finding: Finding, it: &ProofFailure| {
                finding.seen(format!("{}: owes {}, got {}", it.name, it.owes, it.got))
            };
            proof.failures.iter().take(NAMED).fold(finding, seen)
        }
        Err(error) => untried("evasions", error.to_string()),
    }
}
