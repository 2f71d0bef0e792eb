//! A host to whose guarded ports nobody but strangers connects: the CDN does not proxy the site's
//! name (in Cloudflare's DNS: a grey cloud), so that visitors come directly, or somebody scans.

use aop_api::{VerdictCount, VisitorError};

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, wrong},
};

/// Fewer packets than this may be one scanner after a boot.
const ENOUGH: u64 = 10;

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let packets = |reasons: &[&str]| -> u64 {
        let counted = |it: &&VerdictCount| reasons.contains(&it.reason.as_str());
        host.status.verdicts.iter().filter(counted).map(|it| it.packets).sum()
    };
    let strangers = packets(&["unknown_source"]);
    let admitted = packets(&["admitted", "proven"]);
    if strangers < ENOUGH || admitted > 0 || host.status.is_pulled(None) {
        return Vec::new();
    }
    let finding = wrong(
        "direct_visitors",
        "nobody comes through the CDN: every packet to a guarded port is from an address that is \
         not in the list, and enforce drops all of them",
        VisitorError::Nothing,
        "let the CDN proxy the site's name (in Cloudflare's DNS: the orange cloud), open the site, \
         then run this again before enforcing; `aop drops` shows who comes",
    );
    vec![finding.seen(format!("{strangers} packets of unknown_source, none admitted"))]
}
