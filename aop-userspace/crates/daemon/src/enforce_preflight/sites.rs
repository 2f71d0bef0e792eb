//! The preflight for a site that observes: which peers it would refuse.

use std::time::Duration;

use aop_api::{LastObserved, RefusalCount, Status};
use jiff::Timestamp;

use super::RECENT;

/// The reasons why `site` should not refuse peers now, from `status` at `now`.
pub(super) fn reasons(status: &Status, site: &str, now: Timestamp) -> Vec<String> {
    if !status.terminator.as_ref().is_some_and(|terminator| terminator.answers) {
        return vec![format!(
            "site {site}: the terminator does not answer, so it is unknown which peers would be \
             refused"
        )];
    }
    let mut reasons = Vec::new();
    let handshakes = &status.handshakes;
    let mine = |refused: &&RefusalCount| refused.site == site;
    let lately: Vec<&RefusalCount> = handshakes.observed_lately.iter().filter(mine).collect();
    let count: u64 = lately.iter().map(|refused| refused.count).sum();
    if count > 0 {
        let counts = lately.iter().map(|it| format!("{} {}", it.count, it.reason));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let last = handshakes.last_observed.iter().find(|last| last.site == site);
        let last = last.map_or(String::new(), |last| format!("; the last one {}", describe(last)));
        reasons.push(format!(
            "site {site}: within the last 24 hours, or since it observes, {count} pulls from \
             admitted addresses would have been refused: {counts}{last}"
        ));
    }
    let lately = |seen: Timestamp| now.duration_since(seen).unsigned_abs() <= RECENT;
    if !is_pulled(status, site, lately) {
        reasons.push(format!(
            "site {site}: no peer but this host has authenticated within the last {} hours, so \
             nothing shows that the CDN's pulls would pass (see `aop \
             identities` and `aop peers`)",
            Duration::as_secs(&RECENT) / 3600
        ));
    }
    reasons
}

/// Whether a peer other than this host has authenticated for `site` recently. A certificate on
/// record has no source address, so it counts only if this host has not authenticated recently.
fn is_pulled(status: &Status, site: &str, lately: impl Fn(Timestamp) -> bool) -> bool {
    let lately_here = |own: bool| {
        let peers = status.peers.iter().filter(move |peer| peer.address.is_loopback() == own);
        peers.filter(|peer| lately(peer.last_seen))
    };
    lately_here(false).any(|peer| peer.site.as_deref() == Some(site))
        || (status.identities.iter().any(|it| it.site == site && lately(it.last_seen))
            && lately_here(true).next().is_none())
}

fn describe(last: &LastObserved) -> String {
    let LastObserved { site: _, reason, address, presented, at } = last;
    let what = match presented {
        Some(subject) => format!("presenting {subject}"),
        None => "presenting no certificate that can be read".to_owned(),
    };
    format!("at {at:.0} from {address}, {what} ({reason})")
}

#[cfg(test)]
mod tests {
    use aop_api::{PeerStatus, SandboxReport, SeenIdentity, TerminatorReport};
    use aop_control::status_from_maps;

    use super::*;

    const SITE: &str = "a.test";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    fn seen(site: &str, last_seen: Timestamp) -> SeenIdentity {
        SeenIdentity {
            site: site.to_owned(),
            subject: "CN=edge".to_owned(),
            issuer: "CN=ca".to_owned(),
            spki_sha256: "00".to_owned(),
            serial: "01".to_owned(),
            not_before: at(0),
            not_after: at(i64::from(u32::MAX)),
            level: aop_api::IdentityLevel::Own,
            client_ca: None,
            first_seen: last_seen,
            last_seen,
            pulls: 1,
            roll: None,
        }
    }

    fn status() -> Status {
        let mut status = status_from_maps(None, &[]);
        let confinement = SandboxReport::default();
        let user = "aop".to_owned();
        status.terminator = Some(TerminatorReport { pid: 1, user, answers: true, confinement });
        status.identities = vec![seen(SITE, at(0))];
        status
    }

    #[test]
    fn a_site_whose_recent_pulls_all_authenticated_gives_no_reason() {
        assert_eq!(reasons(&status(), SITE, at(24 * 3600)), Vec::<String>::new());
    }

    #[test]
    fn the_reason_gives_counts_refusals_and_the_last_refused_peer() {
        let mut status = status();
        let refused = |site: &str, reason: &str, count| RefusalCount {
            site: site.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        let handshakes = &mut status.handshakes;
        // Refusals of other sites, or of addresses that are not admitted, are no reason.
        handshakes.observed = vec![refused(SITE, "expired", 90)];
        handshakes.observed_lately = vec![refused("b.test", "unknown_ca", 7)];
        assert!(reasons(&status, SITE, at(1)).is_empty());
        let more = [refused(SITE, "unknown_ca", 7), refused(SITE, "certificate_required", 2)];
        status.handshakes.observed_lately.extend(more);
        status.handshakes.last_observed = vec![LastObserved {
            site: SITE.to_owned(),
            reason: "unknown_ca".to_owned(),
            address: [192, 0, 2, 7].into(),
            presented: Some("CN=other".to_owned()),
            at: at(5),
        }];
        let found = reasons(&status, SITE, at(6));
        let [reason] = &found[..] else { panic!("{found:?}") };
        for word in ["9 pulls", "7 unknown_ca, 2 certificate_required", "192.0.2.7", "CN=other"] {
            assert!(reason.contains(word), "{word}: {reason}");
        }
    }

    #[test]
    fn pulls_of_this_host_are_no_evidence() {
        let peer = |address: &str, site: &str, last_seen| PeerStatus {
            address: address.parse().expect("an address"),
            site: Some(site.to_owned()),
            handshakes: 1,
            first_seen: at(0),
            last_seen,
        };
        let now = at(2 * 24 * 3600);
        let is_fine = |peers: &[PeerStatus]| {
            let identities = vec![seen(SITE, now)];
            reasons(&Status { peers: peers.to_vec(), identities, ..status() }, SITE, now).is_empty()
        };
        let (own, edge) = (peer("::1", SITE, now), peer("192.0.2.1", SITE, now));
        assert!(!is_fine(std::slice::from_ref(&own)));
        assert!(is_fine(&[own.clone(), edge]));
        // The last pull of the edge was of another site, or long ago.
        assert!(!is_fine(&[own.clone(), peer("192.0.2.1", "b.test", now)]));
        assert!(!is_fine(&[own, peer("192.0.2.1", SITE, at(0))]));
        assert!(is_fine(&[peer("127.0.0.1", SITE, at(0))]));
    }

    #[test]
    fn a_lack_of_pulls_and_a_silent_terminator_are_reasons() {
        let mut status = status();
        let silent = reasons(&status, SITE, at(24 * 3600 + 1)).join("\n");
        assert!(silent.contains("no peer but this host"), "{silent}");
        status.identities = vec![seen("b.test", at(0))];
        assert_eq!(reasons(&status, SITE, at(0)).len(), 1);
        status.terminator = None;
        let silent = reasons(&status, SITE, at(0)).join("\n");
        assert!(silent.contains("does not answer"), "{silent}");
    }
}
