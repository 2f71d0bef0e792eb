use aop_tls::{PeerIdentity, WouldRefuse};
use identities::IDENTITIES;

use super::*;
use crate::http::Denial;

fn identity(serial: usize) -> PeerIdentity {
    PeerIdentity {
        subject: "CN=edge".into(),
        issuer: "CN=ca".into(),
        serial: serial.to_string(),
        spki_sha256: "00".into(),
        not_before: 1,
        not_after: 2,
    }
}

#[test]
fn pulls_of_this_host_are_counted_and_are_no_evidence_for_or_against_enforcing() {
    let counters = Counters::default();
    let site = counters.site(&"example.com".into());
    let (refusal, detail, presented) = (Refusal::UnknownCa, String::new(), None);
    let would = WouldRefuse { refusal, detail, presented };
    for (peer, served, from_admitted) in
        [("127.0.0.1", 0, 0), ("::1", 0, 0), ("192.0.2.1", 1, 1), ("127.0.0.9", 1, 1)]
    {
        let peer = peer.parse().expect("an address");
        counters.accepted(&site, peer);
        site.observed(&would, peer, Some(AddressVerdict::Admitted));
        let after = counters.snapshot();
        let count: u64 = after.served.iter().map(|(_, count)| *count).sum();
        let [observed] = &after.observed[..] else { panic!("{after:?}") };
        assert_eq!((count, observed.from_admitted), (served, from_admitted), "{peer}");
        assert_eq!((observed.lately, after.last_observed.len() as u64), (served, served));
        assert_eq!(after.accepted, observed.count);
    }
}

#[test]
fn refusals_of_this_host_are_told_apart_and_counted_with_all() {
    let counters = Counters::default();
    let site = counters.site(&"example.com".into());
    for peer in ["127.0.0.1", "::1", "192.0.2.1", "198.51.100.1"] {
        let verdict = match peer {
            "198.51.100.1" => AddressVerdict::Refused,
            _ => AddressVerdict::Admitted,
        };
        let peer = peer.parse().expect("an address");
        counters.refused(&site, Refusal::UnknownCa, peer, Some(verdict), 0);
    }
    let after = counters.snapshot();
    let [refused] = &after.refused[..] else { panic!("{after:?}") };
    assert_eq!((refused.count, refused.from_admitted, refused.from_this_host), (4, 1, 2));
    assert_eq!(after.refused_lately.len(), 2);
}

#[test]
fn a_site_keeps_its_most_recent_identities() {
    let counters = Counters::default();
    let name: Arc<str> = "example.com".into();
    let site = counters.site(&name);
    site.authenticated(&identity(0), None, 0);
    for serial in 1..IDENTITIES {
        site.authenticated(&identity(serial), None, serial as u64);
    }
    site.authenticated(&identity(0), None, 1000);
    site.authenticated(&identity(IDENTITIES), None, 1001);
    let snapshot = counters.snapshot();
    assert_eq!(snapshot.forgotten, [(name, 1)]);
    let next = Counters::default();
    next.restore(snapshot.identities.clone());
    assert_eq!(next.snapshot().identities.len(), IDENTITIES);
    let seen = snapshot.identities;
    assert_eq!(seen.len(), IDENTITIES);
    assert_eq!((seen[0].identity.serial.as_str(), seen[0].pulls), ("64", 1));
    let zero = (seen[1].identity.serial.as_str(), seen[1].first_seen, seen[1].pulls);
    assert_eq!(zero, ("0", 0, 2));
    assert!(!seen.iter().any(|sighting| sighting.identity.serial == "1"));
}

#[test]
fn a_snapshot_lists_sites_and_reasons_by_name_and_omits_zeros() {
    let counters = Counters::default();
    let peer = "192.0.2.1".parse().expect("an address");
    let [b, a] = ["b.test", "a.test"].map(|site| counters.site(&site.into()));
    for site in [&b, &a, counters.no_site()] {
        for refusal in [Refusal::UnknownCa, Refusal::BadHello] {
            counters.refused(site, refusal, peer, None, 0);
        }
    }
    for denial in [Denial::UpstreamBusy, Denial::BadHost] {
        b.denied(denial);
    }
    let snapshot = counters.snapshot();
    let refused: Vec<_> =
        snapshot.refused.iter().map(|it| (&*it.site, it.refusal.name(), it.count)).collect();
    let expected = ["-", "a.test", "b.test"]
        .map(|site| [(site, "bad_hello", 1), (site, "unknown_ca", 1)])
        .concat();
    assert_eq!(refused, expected);
    let denied: Vec<_> = snapshot.denied.iter().map(|it| (&*it.site, it.denial.name())).collect();
    assert_eq!(denied, [("b.test", "bad_host"), ("b.test", "upstream_busy")]);
    assert!(snapshot.served.is_empty() && snapshot.observed.is_empty());
}
