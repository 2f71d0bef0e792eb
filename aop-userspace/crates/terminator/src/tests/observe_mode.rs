//! Observe mode: a site relays every peer and counts the refusals that enforcing would cause. It
//! believes nothing that an unauthenticated peer presents.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aop_common::Mode;
use aop_config::{CertificateRules, Limits, OnRefusal, Resumption};
use aop_tls::{
    Refusal,
    testing::{Authority, BOTH, Leaf, client, connect, long_ago},
};
use aop_types::AddressVerdict;
use rustls::{AlertDescription as Alert, HandshakeKind};
use tokio::{
    io::AsyncReadExt,
    time::{sleep, timeout},
};

use super::{
    log::capture_log,
    rig::{OTHER_SITE, Rig, RigConfig, SITE, exchange},
};
use crate::ObservedCount;

const LONG: Duration = Duration::from_secs(10);

/// The first site observes; the other one enforces.
async fn observing() -> Rig {
    observing_with(RigConfig::default()).await
}

async fn observing_with(config: RigConfig) -> Rig {
    let rig = Rig::with(config).await;
    observe(&rig, Mode::Observe, LONG);
    rig
}

fn observe(rig: &Rig, mode: Mode, patience: Duration) {
    rig.service.apply_mode_overrides(&BTreeMap::from([(SITE.to_owned(), mode)]), patience);
}

impl Rig {
    /// Waits until `count` connections are counted as observed, all for `refusal`. None counts as
    /// coming from an admitted address, because they come from this host itself.
    async fn observed(&self, refusal: Refusal, count: u64) {
        self.counters_when(|counters| {
            let only = |it: &ObservedCount| {
                (&*it.site, it.refusal, it.count, it.from_admitted) == (SITE, refusal, count, 0)
            };
            counters.observed.len() == 1 && only(&counters.observed[0])
        })
        .await;
    }

    /// No peer was authenticated: none is recorded, none accepted and none refused.
    fn believed_nobody(&self) {
        let counters = self.counters();
        assert_eq!(
            (counters.accepted, counters.served.len(), counters.identities.len()),
            (0, 0, 0)
        );
        assert_eq!(counters.refused, []);
        assert!(self.book.0.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn each_unauthenticated_peer_is_relayed_and_counted_for_its_reason_and_not_recorded() {
    type Wrong = fn(&Rig) -> Option<Leaf>;
    let stolen: Wrong = |rig| {
        // The right certificate with another key.
        Some(Leaf { key: rig.other_ca.edge().key, ..rig.client_ca.edge() })
    };
    let wrong: [(Wrong, Refusal); 6] = [
        (|_| None, Refusal::CertificateRequired),
        (|_| Some(Authority::new("somebody's CA").edge()), Refusal::UnknownCa),
        (|rig| Some(rig.client_ca.leaf(long_ago)), Refusal::Expired),
        (|rig| Some(rig.client_ca.version_1()), Refusal::CertificateVersion),
        (|_| Some(Leaf::self_signed()), Refusal::CaAsLeaf),
        (stolen, Refusal::BadCertificate),
    ];
    for (leaf, refusal) in wrong {
        let rig = observing().await;
        let leaf = leaf(&rig);
        for version in BOTH {
            let config = Arc::new(client(&rig.server_ca, leaf.as_ref(), &[version]));
            rig.serve(&config, SITE).await;
        }
        rig.observed(refusal, 2).await;
        rig.believed_nobody();
    }
}

#[tokio::test]
async fn the_right_certificate_authenticates_and_rules_are_checked() {
    let rig = observing().await;
    rig.serve(&rig.edge(), SITE).await;
    let counters = rig.counters();
    assert_eq!((counters.accepted, counters.identities.len(), counters.observed.len()), (1, 1, 0));
    assert_eq!(counters.served, [], "pulls of this host itself do not count as served");
    assert!(rig.book.0.lock().unwrap().iter().any(|(_, site)| site == SITE));

    let rules = CertificateRules { cn: Some("another".into()), ..CertificateRules::default() };
    let rig = observing_with(RigConfig { rules, ..RigConfig::default() }).await;
    rig.serve(&rig.edge(), SITE).await;
    rig.observed(Refusal::CnMismatch, 1).await;
    rig.believed_nobody();
}

#[tokio::test]
async fn names_and_addresses_are_still_checked() {
    let rig = observing().await;
    let nobody = rig.client(None);
    rig.serve(&nobody, SITE).await;
    assert_eq!(rig.alert(&nobody, "unknown.test").await, Alert::UnrecognisedName);
    rig.refusals_counted("-", Refusal::UnknownName, 1).await;
    rig.gate.set(AddressVerdict::Observed);
    rig.serve(&nobody, SITE).await;
    rig.observed(Refusal::CertificateRequired, 2).await;
    rig.gate.set(AddressVerdict::Refused);
    let refused = connect(&nobody, rig.address, SITE).await;
    assert!(refused.is_err(), "its address is not admitted");
    assert_eq!(rig.counters().observed[0].count, 2);
}

#[tokio::test]
async fn no_session_of_an_observing_site_resumes_there_or_at_an_enforcing_site() {
    let rules =
        CertificateRules { resumption: Resumption::Verified, ..CertificateRules::default() };
    let rig = observing_with(RigConfig { rules, ..RigConfig::default() }).await;
    let (edge, bad) = (rig.client_ca.edge(), rig.other_ca.edge());
    for leaf in [&edge, &bad] {
        let config = rig.client(Some(leaf));
        for _ in 0..2 {
            let (mut peer, mut upstream) = rig.pull_as(&config, SITE).await.unwrap();
            exchange(&mut peer, &mut upstream).await;
            assert_eq!(peer.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        }
    }
    let nobody = rig.client(None);
    let (mut peer, mut upstream) = rig.pull_as(&nobody, SITE).await.unwrap();
    exchange(&mut peer, &mut upstream).await;
    assert_eq!(rig.alert(&nobody, OTHER_SITE).await, Alert::CertificateRequired);
    rig.refusals_counted(OTHER_SITE, Refusal::CertificateRequired, 1).await;
    rig.upstream_saw_nothing().await;
    // The right certificate resumes again once the site enforces.
    observe(&rig, Mode::Enforce, LONG);
    let config = rig.client(Some(&edge));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (mut peer, mut upstream) = rig.pull_as(&config, SITE).await.unwrap();
        exchange(&mut peer, &mut upstream).await;
        assert_eq!(peer.get_ref().1.handshake_kind(), Some(kind));
    }
}

#[tokio::test]
async fn unauthenticated_connections_and_no_others_are_cut_when_the_site_enforces() {
    let rig = observing().await;
    let (mut edge, mut edge_upstream) = rig.pull().await;
    let other = rig.client(Some(&rig.other_ca.edge()));
    let (mut beside, mut beside_upstream) = rig.pull_as(&other, OTHER_SITE).await.unwrap();
    let (mut peer, mut upstream) = rig.pull_as(&rig.client(None), SITE).await.unwrap();
    exchange(&mut peer, &mut upstream).await;

    // A reload that keeps observing cuts no connection.
    rig.service.reload(rig.changed(|site| site.on_refusal = OnRefusal::Observe), Duration::ZERO);
    exchange(&mut peer, &mut upstream).await;
    rig.service.reload(rig.changed(|_| {}), Duration::from_millis(300));
    exchange(&mut peer, &mut upstream).await;
    let mut rest = Vec::new();
    timeout(LONG, peer.read_to_end(&mut rest)).await.expect("it is cut").unwrap_or_default();
    exchange(&mut edge, &mut edge_upstream).await;
    exchange(&mut beside, &mut beside_upstream).await;
    assert_eq!(rig.alert(&rig.client(None), SITE).await, Alert::CertificateRequired);
}

#[tokio::test]
async fn an_unauthenticated_connection_is_cut_if_its_host_moves_to_another_site() {
    const NAMED: &str = "named.example.com";
    const MOVED: &str = "xample.com";
    // The host, the site that gets it, and whether that site observes.
    for (host, to, on_refusal) in [
        (NAMED, OTHER_SITE, OnRefusal::Close),
        (NAMED, OTHER_SITE, OnRefusal::Observe),
        (MOVED, OTHER_SITE, OnRefusal::Observe),
        (NAMED, SITE, OnRefusal::Observe),
        (MOVED, SITE, OnRefusal::Observe),
    ] {
        let rig = observing().await;
        let (mut edge, mut edge_upstream) = rig.pull().await;
        let (mut peer, mut upstream) = rig.pull_as(&rig.client(None), host).await.unwrap();
        exchange(&mut peer, &mut upstream).await;
        let mut believed = Vec::new();
        let policy = rig.changed(|site| {
            // No trust is withdrawn: the second site trusts the peers of the first one too.
            believed.append(&mut site.client_ca);
            site.client_ca.clone_from(&believed);
            site.on_refusal = if site.name == SITE { OnRefusal::Observe } else { on_refusal };
            site.hosts.retain(|it| it.to_string() != host);
            if site.name == to {
                site.hosts.push(host.parse().unwrap());
            }
        });
        rig.service.reload(policy, Duration::from_millis(300));
        exchange(&mut peer, &mut upstream).await;
        let mut rest = Vec::new();
        let wait = if to == SITE { Duration::from_secs(1) } else { LONG };
        let read = timeout(wait, peer.read_to_end(&mut rest)).await;
        assert_eq!(read.is_ok(), to == OTHER_SITE, "{host} → {to}: {on_refusal:?}");
        exchange(&mut edge, &mut edge_upstream).await;
    }
}

#[tokio::test]
async fn unauthenticated_connections_take_at_most_half_of_the_slots() {
    let limits = Limits { connections: 2, handshakes: 9, per_peer: 9, workers: Some(2) };
    let deadline = Duration::from_millis(500);
    let rig = observing_with(RigConfig { limits, deadline, ..RigConfig::default() }).await;
    let nobody = rig.client(None);
    let (mut peer, mut upstream) = rig.pull_as(&nobody, SITE).await.unwrap();
    exchange(&mut peer, &mut upstream).await;
    let second = connect(&nobody, rig.address, SITE).await;
    rig.refusals_counted(SITE, Refusal::NoSlot, 1).await;
    rig.serve(&rig.edge(), SITE).await;
    exchange(&mut peer, &mut upstream).await;
    drop(second);
}

#[tokio::test]
async fn an_unauthenticated_peer_that_waits_for_a_slot_keeps_its_pending_slot_and_may_lose_it() {
    let limits = Limits { connections: 2, handshakes: 8, per_peer: 9, workers: Some(2) };
    let rig = observing_with(RigConfig { limits, ..RigConfig::default() }).await;
    let nobody = rig.client(None);
    let (mut peer, mut upstream) = rig.pull_as(&nobody, SITE).await.unwrap();
    let mut parked = Vec::new();
    for _ in 0..200 {
        parked.push(connect(&nobody, rig.address, SITE).await.unwrap());
    }
    rig.refusals_counted(SITE, Refusal::CrowdedOut, 192).await;
    rig.counters_when(|counters| counters.open == 1 + 8).await;
    let other = rig.client(Some(&rig.other_ca.edge()));
    let served = timeout(Duration::from_secs(1), rig.serve(&other, OTHER_SITE));
    served.await.expect("it had to wait");
    exchange(&mut peer, &mut upstream).await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn an_unauthenticated_peer_that_gets_its_slot_after_the_site_enforces_reaches_no_upstream() {
    let limits = Limits { connections: 2, handshakes: 9, per_peer: 9, workers: Some(2) };
    let rig = observing_with(RigConfig { limits, ..RigConfig::default() }).await;
    let nobody = rig.client(None);
    let first = rig.pull_as(&nobody, SITE).await.unwrap();
    let mut waiting = connect(&nobody, rig.address, SITE).await.unwrap();
    // By then its handshake is complete, and it waits for a slot.
    sleep(Duration::from_millis(200)).await;
    assert_eq!((rig.counters().open, rig.counters().refused.len()), (2, 0));
    observe(&rig, Mode::Enforce, LONG);
    drop(first);
    let ended = timeout(LONG, waiting.read(&mut [0])).await.expect("the connection ends");
    assert_eq!(ended.unwrap(), 0, "it ends in order");
    rig.refusals_counted(SITE, Refusal::CertificateRequired, 1).await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn the_closing_line_names_the_refusal_that_enforcing_would_cause() {
    let (lines, _guard) = capture_log();
    let rig = observing().await;
    let other = rig.other_ca.edge();
    rig.serve(&rig.client(Some(&other)), SITE).await;
    rig.counters_when(|counters| counters.open == 0).await;
    let closing = lines.closing();
    if let [line] = &closing[..] {
        for word in ["outcome=\"served\"", "would_refuse=\"unknown_ca\"", "presented=", "help="] {
            assert!(line.contains(word), "{word}: {line}");
        }
        assert!(!line.contains("subject="), "{line}");
    } else {
        panic!("{closing:?}");
    }
}
