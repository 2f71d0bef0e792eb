//! Refused pulls of the CDN.

use std::collections::BTreeMap;

use aop_api::{Finding, RefusedPeer};
use aop_tls::Refusal;

use super::{meaning, refused, sighting};
use crate::doctor::{
    HostContext,
    finding::{More, good, told, wrong},
};

/// The most addresses that are listed.
const NAMED: usize = 4;

pub(super) fn look(patient: &HostContext) -> Vec<Finding> {
    let mut met: BTreeMap<(&str, Refusal), Vec<&RefusedPeer>> = BTreeMap::new();
    for peer in refused(patient, "list") {
        let telling = meaning::TELLING.iter().find(|refusal| refusal.name() == peer.reason);
        if let Some(refusal) = telling {
            met.entry((&peer.site, *refusal)).or_default().push(peer);
        }
    }
    let mut findings: Vec<Finding> = met
        .iter()
        .map(|((site, refusal), peers)| finding(patient, site, *refusal, peers))
        .collect();
    if findings.is_empty() {
        findings.push(match patient.status.is_pulled(None) {
            true => good(
                "pulls",
                "the CDN pulls and is served, and none of its pulls was refused recently",
            ),
            false => {
                told("pulls", "no pull has been served yet, so it is unknown if the CDN would be")
                    .cure("open the site through the CDN, then run this again before enforcing")
            }
        });
    }
    findings
}

fn finding(patient: &HostContext, site: &str, refusal: Refusal, peers: &[&RefusedPeer]) -> Finding {
    let meaning::Meaning { name, said, visitor, cure } = meaning::of(refusal);
    // "-": the peer spoke no TLS or named no site.
    let of = Some(site).filter(|site| *site != "-");
    let finding = match patient.status.is_pulled(of) {
        false => wrong(name, said, visitor, ""),
        // All customers of the CDN share its addresses.
        true => told(
            name,
            format!(
                "some peers from the CDN are refused ({refusal}), while others are served: another \
                 of its customers, a scanner behind it, or a hostname of yours that is not set up"
            ),
        ),
    };
    let finding = match cure {
        Some(cure) => finding.cure(cure),
        None => finding.helped(refusal),
    };
    let seen = |finding: Finding, peer: &&RefusedPeer| finding.seen(sighting(peer));
    peers.iter().take(NAMED).fold(finding.about(site), seen)
}
