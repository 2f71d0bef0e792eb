//! What the running daemon has seen, in the words of an operator's mistakes. What the edge does is told
//! by refusals of addresses that the list admits; what monitors do by those of firewall.extra.

mod edge;
mod flexible;
mod meaning;
mod monitors;
mod strangers;

use super::{Patient, finding::untried};
use crate::control::{Finding, RefusedPeer};

pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let status = &patient.status;
    match &status.terminator {
        Some(terminator) if terminator.answers => {
            let looks = [edge::look, flexible::look, monitors::look, strangers::look];
            looks.iter().flat_map(|look| look(patient)).collect()
        }
        Some(_) => vec![untried("observed", "the terminator process does not answer")],
        None if patient.has_daemon() => strangers::look(patient),
        None => vec![untried("observed", "no daemon runs, so nothing is known of handshakes")],
    }
}

/// Refused lately, of those whom `by` admits.
fn refused<'a>(patient: &'a Patient, by: &'a str) -> impl Iterator<Item = &'a RefusedPeer> {
    let refused = patient.status.handshakes.refused_lately.iter();
    refused.filter(move |peer| peer.admitted_by.as_deref() == Some(by))
}

/// `3 from 192.0.2.1, the last at …`.
fn sighting(peer: &RefusedPeer) -> String {
    format!("{} from {}, the last at {:.0}", peer.count, peer.address, peer.last_seen)
}
