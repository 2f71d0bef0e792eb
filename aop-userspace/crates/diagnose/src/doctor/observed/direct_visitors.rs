//! A host to whose guarded ports nobody but strangers connects: the CDN does not proxy the site's
//! name (in Cloudflare's DNS: a grey cloud), so that visitors come directly, or somebody scans.

use std::time::Duration;

use aop_api::{VerdictCount, VisitorError};

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, wrong},
};

/// Fewer packets than this may be of a few scanners.
const ENOUGH: u64 = 500;
/// The daemon is up for at least this long, or the CDN may not have pulled yet.
const SETTLED: Duration = Duration::from_secs(3600);

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let packets = |reasons: &[&str]| -> u64 {
        let counted = |it: &&VerdictCount| reasons.contains(&it.reason.as_str());
        host.status.verdicts.iter().filter(counted).map(|it| it.packets).sum()
    };
    let strangers = packets(&["unknown_source"]);
    let admitted = packets(&["admitted", "proven"]);
    let uptime = host.status.daemon.as_ref().map_or(0, |daemon| daemon.uptime_seconds);
    let uptime = Duration::from_secs(uptime);
    if !are_direct(strangers, admitted, uptime) || host.status.is_pulled(None) {
        return Vec::new();
    }
    let finding = wrong(
        "direct_visitors",
        "nobody comes through the CDN: every packet to a guarded port is from an address that is \
         not in the list, and enforce drops all of them",
        VisitorError::Nothing,
        "let the CDN proxy the site's name (in Cloudflare's DNS: the orange cloud), open the site, \
         then run this again before enforcing; `aop strangers` shows who came",
    );
    vec![finding.seen(format!("{strangers} packets of unknown_source, none admitted"))]
}

/// Whether these packets of strangers, and none that was admitted, tell of a CDN without traffic.
fn are_direct(strangers: u64, admitted: u64, uptime: Duration) -> bool {
    strangers >= ENOUGH && admitted == 0 && uptime >= SETTLED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_packets_of_strangers_over_an_hour_are_direct_visitors() {
        assert!(are_direct(500, 0, SETTLED));
        assert!(!are_direct(499, 0, SETTLED));
        assert!(!are_direct(50_000, 1, SETTLED));
        assert!(!are_direct(50_000, 0, SETTLED - Duration::from_secs(1)));
    }
}
