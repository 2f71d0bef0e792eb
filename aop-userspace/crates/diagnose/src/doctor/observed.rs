//! Findings from what the running daemon has seen, each as the mistake of the operator behind it.
//! Refused addresses of the list show what the edge does; those of firewall.extra, what monitors
//! do.

mod cdn_refusals;
mod direct_visitors;
mod meaning;
mod monitors;
mod plain_http_pulls;
mod would_drop;

use std::time::Duration;

use aop_api::{AdmissionSource, PeerStatus, RefusedPeer};
use jiff::Timestamp;

use super::{
    HostContext,
    finding::{CheckFinding, untried},
};

/// Older refusals say nothing about the present state.
const RECENT: Duration = Duration::from_secs(24 * 3600);

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let status = &host.status;
    match &status.terminator {
        Some(terminator) if terminator.answers => {
            let checks = [
                cdn_refusals::check,
                direct_visitors::check,
                plain_http_pulls::check,
                monitors::check,
                would_drop::check,
            ];
            checks.iter().flat_map(|check| check(host)).collect()
        }
        Some(_) => vec![untried("observed", "the terminator process does not answer")],
        None if host.has_daemon() => {
            let checks = [direct_visitors::check, would_drop::check];
            checks.iter().flat_map(|check| check(host)).collect()
        }
        None => {
            vec![untried("observed", "aop does not answer, so its handshakes are unknown")]
        }
    }
}

/// The peers admitted by `by` that were refused recently and not served since.
fn refused(host: &HostContext, by: AdmissionSource) -> impl Iterator<Item = &RefusedPeer> {
    let (status, now) = (&host.status, Timestamp::now());
    status.handshakes.refused_lately.iter().filter(move |peer| {
        peer.admitted_by.as_ref() == Some(&by) && is_recent(peer, &status.peers, now)
    })
}

/// Whether a refusal is at most a day old and its address has not authenticated for the site since.
fn is_recent(refused: &RefusedPeer, peers: &[PeerStatus], now: Timestamp) -> bool {
    let same_site = |peer: &PeerStatus| match &*refused.site {
        "-" => true,
        site => peer.site.as_deref() == Some(site),
    };
    let since = |peer: &PeerStatus| {
        peer.address == refused.address && peer.last_seen > refused.last_seen && same_site(peer)
    };
    let age = now.duration_since(refused.last_seen);
    (age.is_negative() || age.unsigned_abs() <= RECENT) && !peers.iter().any(since)
}

/// `3 from 192.0.2.1, the last at …`.
fn describe(peer: &RefusedPeer) -> String {
    format!("{} from {}, the last at {:.0}", peer.count, peer.address, peer.last_seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_for_a_day_or_until_its_address_is_served_for_the_site() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a moment");
        let address = [192, 0, 2, 1].into();
        let refused = |site: &str| RefusedPeer {
            address,
            admitted_by: Some(AdmissionSource::List),
            site: site.to_owned(),
            reason: "unknown_ca".to_owned(),
            count: 1,
            last_seen: at(1000),
        };
        let served = |last_seen| PeerStatus {
            address,
            site: Some("a".to_owned()),
            handshakes: 1,
            first_seen: at(0),
            last_seen: at(last_seen),
        };
        let day = 24 * 3600;
        assert!(is_recent(&refused("a"), &[], at(1000 + day)));
        assert!(!is_recent(&refused("a"), &[], at(1001 + day)));
        assert!(is_recent(&refused("a"), &[served(999)], at(1002)));
        assert!(!is_recent(&refused("a"), &[served(1001)], at(1002)));
        assert!(is_recent(&refused("b"), &[served(1001)], at(1002)));
        assert!(!is_recent(&refused("-"), &[served(1001)], at(1002)));
    }
}
