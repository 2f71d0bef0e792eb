//! Refused pulls of the CDN.

use std::collections::BTreeMap;

use aop_api::RefusedPeer;
use aop_types::Refusal;

use super::{
    describe,
    meaning::{Meaning, meaning},
    refused,
};
use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, wrong},
};

/// The most addresses that are listed.
const MAX_EVIDENCE: usize = 4;

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let mut met: BTreeMap<(&str, Refusal), Vec<&RefusedPeer>> = BTreeMap::new();
    for peer in refused(host, aop_api::AdmissionSource::List) {
        if let Some(refusal) = Refusal::from_name(&peer.reason) {
            met.entry((&peer.site, refusal)).or_default().push(peer);
        }
    }
    let finding = |((site, refusal), peers): (&(&str, Refusal), &Vec<&RefusedPeer>)| {
        Some(finding(host, site, *refusal, meaning(*refusal)?, peers))
    };
    let mut findings: Vec<CheckFinding> = met.iter().filter_map(finding).collect();
    if findings.is_empty() {
        findings.push(if host.status.is_pulled(None) {
            good("pulls", "the CDN pulls and is served, and none of its pulls was refused recently")
        } else {
            notice("pulls", "no pull has been served yet, so it is unknown if the CDN would be")
                .cure("open the site through the CDN, then run this again before enforcing")
        });
    }
    findings
}

fn finding(
    host: &HostContext,
    site: &str,
    refusal: Refusal,
    meaning: Meaning,
    peers: &[&RefusedPeer],
) -> CheckFinding {
    let Meaning { name, said, visitor, cure } = meaning;
    // "-": the peer spoke no TLS or named no site.
    let of = Some(site).filter(|site| *site != "-");
    let finding = if host.status.is_pulled(of) {
        // All customers of the CDN share its addresses.
        notice(
            name,
            format!(
                "some peers from the CDN are refused ({refusal}), while others are served: another \
                 of its customers, a scanner behind it, or a hostname of yours that is not set up"
            ),
        )
    } else {
        wrong(name, said, visitor, "")
    };
    let finding = match cure {
        Some(cure) => finding.cure(cure),
        None => finding.with_help_of(refusal),
    };
    finding.about(site).seen_all(peers.iter().take(MAX_EVIDENCE).map(|peer| describe(peer)))
}
