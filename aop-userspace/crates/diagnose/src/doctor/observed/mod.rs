//! What the running daemon has seen, in the words of an operator's mistakes. What the edge does is told
//! by refusals of addresses that the list admits; what monitors do by those of firewall.extra.

mod edge;
mod flexible;
mod meaning;
mod monitors;
mod strangers;

use std::time::Duration;

use aop_api::{Finding, Peer, RefusedPeer};
use jiff::Timestamp;

use super::{Patient, finding::untried};

/// What was seen longer ago tells nothing of now.
const LATELY: Duration = Duration::from_secs(24 * 3600);

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

/// Refused lately and not served since, of those whom `by` admits.
fn refused<'a>(patient: &'a Patient, by: &'a str) -> impl Iterator<Item = &'a RefusedPeer> {
    let (status, now) = (&patient.status, Timestamp::now());
    let refused = status.handshakes.refused_lately.iter();
    let refused = refused.filter(move |peer| still_tells(peer, &status.peers, now));
    refused.filter(move |peer| peer.admitted_by.as_deref() == Some(by))
}

/// Whether a refusal is of this day, and its address has not authenticated for the site since.
fn still_tells(refused: &RefusedPeer, peers: &[Peer], now: Timestamp) -> bool {
    let same_site = |peer: &Peer| match &*refused.site {
        "-" => true,
        site => peer.site.as_deref() == Some(site),
    };
    let since = |peer: &Peer| {
        peer.address == refused.address && peer.last_seen > refused.last_seen && same_site(peer)
    };
    let age = now.duration_since(refused.last_seen);
    (age.is_negative() || age.unsigned_abs() <= LATELY) && !peers.iter().any(since)
}

/// `3 from 192.0.2.1, the last at …`.
fn sighting(peer: &RefusedPeer) -> String {
    format!("{} from {}, the last at {:.0}", peer.count, peer.address, peer.last_seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_for_a_day_and_until_its_address_is_served_for_the_site() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a moment");
        let address = [192, 0, 2, 1].into();
        let refused = |site: &str| RefusedPeer {
            address,
            admitted_by: Some("list".to_owned()),
            site: site.to_owned(),
            reason: "unknown_ca".to_owned(),
            count: 1,
            last_seen: at(1000),
        };
        let served = |last_seen| Peer {
            address,
            site: Some("a".to_owned()),
            handshakes: 1,
            first_seen: at(0),
            last_seen: at(last_seen),
        };
        let day = 24 * 3600;
        assert!(still_tells(&refused("a"), &[], at(1000 + day)));
        assert!(!still_tells(&refused("a"), &[], at(1001 + day)));
        assert!(still_tells(&refused("a"), &[served(999)], at(1002)));
        assert!(!still_tells(&refused("a"), &[served(1001)], at(1002)));
        assert!(still_tells(&refused("b"), &[served(1001)], at(1002)));
        assert!(!still_tells(&refused("-"), &[served(1001)], at(1002)));
    }
}
