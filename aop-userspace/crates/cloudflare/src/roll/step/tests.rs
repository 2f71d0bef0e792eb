mod undo;

use aop_api::{
    DeploymentStatus, IdentityLevel, SeenIdentities, SeenIdentity, SiteIdentities, SslMode,
};
use aop_config::Host;

use super::*;
use crate::{
    Announced, HostAssociation, HostBefore, KnownCertificate, LeafFacts, RollBefore, RollLeaf,
    RollReport, SiteTrust, plan_of_roll as plan,
};

const LAG: SignedDuration = SignedDuration::from_secs(60);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a moment")
}

fn id(text: &str) -> CertificateId {
    text.parse().expect("an identifier")
}

fn leaf(name: &str) -> LeafFacts {
    LeafFacts {
        subject: name.to_owned(),
        issuers: Vec::new(),
        serial: name.to_owned(),
        spki_sha256: name.to_owned(),
        sha256: name.to_owned(),
        not_before: at(0),
        not_after: at(1_000_000),
        chain: Vec::new(),
    }
}

fn certificate(name: &str, of: &str, status: DeploymentStatus) -> UploadedCertificate {
    let leaf = Some(leaf(of));
    UploadedCertificate { id: id(name), status, uploaded_on: None, expires_on: None, leaf }
}

fn seen(name: &str, second: i64) -> SeenIdentity {
    SeenIdentity {
        site: "example.com".to_owned(),
        subject: name.to_owned(),
        issuer: String::new(),
        spki_sha256: name.to_owned(),
        serial: name.to_owned(),
        not_before: at(0),
        not_after: at(0),
        level: IdentityLevel::Own,
        client_ca: None,
        first_seen: at(second),
        last_seen: at(second),
        pulls: 1,
        roll: None,
    }
}

/// A zone with an old certificate, before anything is done.
fn begun(target: RollTarget) -> (RollRecord, RollFacts) {
    let old = certificate("old", "old", DeploymentStatus::Active);
    let level = match target {
        RollTarget::Zone | RollTarget::BackToGlobal => CertificateLevel::Zone,
        RollTarget::Host | RollTarget::BackToZone => CertificateLevel::Host,
    };
    let host: Host = "example.com".parse().expect("a host");
    let association = (level == CertificateLevel::Host).then(|| HostAssociation {
        certificate: id("old"),
        status: DeploymentStatus::Active,
        certificate_status: None,
        enabled: Some(true),
        expires_on: None,
    });
    let before = RollBefore {
        global_on: false,
        zone_on: level == CertificateLevel::Zone,
        certificates: vec![KnownCertificate::of(level, &old, true)],
        associations: vec![HostBefore {
            host: host.to_string(),
            certificate: association.as_ref().map(|it| it.certificate.clone()),
            enabled: association.as_ref().and_then(|it| it.enabled),
        }],
    };
    let facts = RollFacts {
        ssl_mode: SslMode::Strict,
        global_on: before.global_on,
        zone_on: before.zone_on,
        certificates: vec![(level, old)],
        is_listed: true,
        associations: vec![(host, association)],
        trust: Vec::new(),
        identities: vec![seen("old", -10)],
        reports: Vec::new(),
    };
    let zone = (id_of_zone(), "example.com".to_owned());
    let hosts = vec!["example.com".to_owned()];
    (RollRecord::new("example.com".to_owned(), hosts, zone, target, before), facts)
}

fn id_of_zone() -> crate::ZoneId {
    "zone".parse().expect("an identifier")
}

/// The zone's roll, at the moment after the upload was answered and became active.
fn active() -> (RollRecord, RollFacts) {
    let (mut record, mut facts) = begun(RollTarget::Zone);
    record.leaf = Some(RollLeaf::from(&leaf("new")));
    for step in [RollStep::Made, RollStep::Trusted, RollStep::Uploaded, RollStep::Active] {
        record.reach(step, at(0));
    }
    record.announced = Some(Announced { at: at(0), answered: true });
    record.uploaded = Some(id("ours"));
    let ours = certificate("ours", "new", DeploymentStatus::Active);
    facts.certificates.push((CertificateLevel::Zone, ours));
    facts.trust = vec![SiteTrust { site: "example.com".to_owned(), refused: None }];
    (record, facts)
}

fn stops(record: &RollRecord, facts: &RollFacts, text: &str) {
    let then = next(record, facts, LAG, at(1));
    let RollNext::Stopped { why, cure } = then else { panic!("{then:?}, and not {text:?}") };
    assert!(why.contains(text) && !cure.is_empty(), "{why}; {cure}");
}

fn waits(record: &RollRecord, facts: &RollFacts, second: i64, text: &str) {
    let then = next(record, facts, LAG, at(second));
    let RollNext::Wait { what, .. } = then else { panic!("{then:?}, and not {text:?}") };
    assert!(what.contains(text), "{what}");
}

fn acts(record: &RollRecord, facts: &RollFacts, second: i64, action: RollAction) {
    assert_eq!(next(record, facts, LAG, at(second)), RollNext::Act(action));
}

/// The changes of a plan, in their order.
fn changes(target: RollTarget) -> Vec<&'static str> {
    let (record, facts) = begun(target);
    let planned = plan(record, facts, at(0));
    assert_eq!(planned.last(), Some(&RollNext::Done), "{planned:?}");
    let named = planned.iter().filter_map(|then| match then {
        RollNext::Act(RollAction::MakeLeaf) => Some("make"),
        RollNext::Act(RollAction::Trust(_)) => Some("trust"),
        RollNext::Act(RollAction::Upload) => Some("upload"),
        RollNext::Act(RollAction::Drop(_)) => Some("drop"),
        RollNext::Act(RollAction::SwitchGlobal(on)) => Some(if *on { "global on" } else { "?" }),
        RollNext::Act(RollAction::SwitchZone(on)) => Some(if *on { "on" } else { "off" }),
        RollNext::Act(RollAction::Associate(hosts)) if hosts[0].enabled.is_none() => Some("void"),
        RollNext::Act(RollAction::Associate(_)) => Some("associate"),
        RollNext::Act(RollAction::DeleteOld(..)) => Some("delete"),
        RollNext::Reached(RollStep::Seen) => Some("seen"),
        RollNext::Reached(_)
        | RollNext::Found(_)
        | RollNext::Wait { .. }
        | RollNext::Stopped { .. }
        | RollNext::Done
        | RollNext::Undone => None,
    });
    named.collect()
}

#[test]
fn nothing_is_deleted_before_its_successor_was_seen() {
    use RollTarget::{BackToGlobal, BackToZone, Host, Zone};
    assert_eq!(changes(Zone), ["make", "trust", "upload", "seen", "delete"]);
    assert_eq!(changes(Host), ["make", "trust", "upload", "associate", "seen", "delete"]);
    let back = ["make", "trust", "upload", "on", "void", "seen", "delete"];
    assert_eq!(changes(BackToZone), back);
    assert_eq!(changes(BackToGlobal), ["trust", "global on", "off", "seen", "delete"]);
}

#[test]
fn an_upload_without_an_answer_is_looked_for_before_it_is_made_again() {
    let (mut record, mut facts) = active();
    record.steps.truncate(2);
    record.uploaded = None;
    record.announced = Some(Announced { at: at(0), answered: false });
    let ours = facts.certificates.pop().expect("ours");
    waits(&record, &facts, 59, "Cloudflare's list");
    acts(&record, &facts, 60, RollAction::Upload);
    facts.certificates.push(ours);
    assert_eq!(next(&record, &facts, LAG, at(1)), RollNext::Found(id("ours")));
    // Two of ours: the active one stays.
    let double = certificate("double", "new", DeploymentStatus::Initializing);
    facts.certificates.insert(0, (CertificateLevel::Zone, double));
    acts(&record, &facts, 1, RollAction::Drop(id("double")));
    // The record says so before the call; whether it was made, the facts tell.
    record.dropped.push(id("double"));
    acts(&record, &facts, 1, RollAction::Drop(id("double")));
    facts.certificates[0].1.status = DeploymentStatus::PendingDeletion;
    assert_eq!(next(&record, &facts, LAG, at(1)), RollNext::Found(id("ours")));
}

#[test]
fn a_deployment_that_times_out_is_dropped_and_at_the_fourth_time_told() {
    let (mut record, mut facts) = active();
    facts.certificates[1].1.status = DeploymentStatus::DeploymentTimedOut;
    for timed_out in 0..3 {
        record.timed_out = timed_out;
        acts(&record, &facts, 1, RollAction::Drop(id("ours")));
    }
    record.timed_out = 3;
    stops(&record, &facts, "deployment_timed_out");
    // The deletion of one was written down, and its answer was lost.
    (record.uploaded, record.announced) = (None, None);
    record.dropped.push(id("ours"));
    acts(&record, &facts, 1, RollAction::Drop(id("ours")));
    facts.certificates.pop();
    acts(&record, &facts, 1, RollAction::Upload);
}

#[test]
fn the_old_one_is_deleted_when_it_was_not_seen_for_the_settling_time() {
    let (mut record, mut facts) = active();
    record.reach(RollStep::SwitchedOn, at(0));
    waits(&record, &facts, 5, "a pull with the new certificate");
    facts.identities.push(seen("new", 10));
    assert_eq!(next(&record, &facts, LAG, at(10)), RollNext::Reached(RollStep::Seen));
    record.wait_for = 2;
    waits(&record, &facts, 10, "1 of 2 hosts");
    record.wait_for = 1;
    record.reach(RollStep::Seen, at(10));
    facts.is_listed = false;
    waits(&record, &facts, 611, "Cloudflare's list to show the new certificate");
    facts.is_listed = true;
    waits(&record, &facts, 609, "presented no more");
    // The edge goes on presenting the old one.
    facts.identities[0] = seen("old", 300);
    waits(&record, &facts, 610, "still presented the old certificate");
    waits(&record, &facts, 899, "still presented the old certificate");
    assert_eq!(next(&record, &facts, LAG, at(900)), RollNext::Reached(RollStep::Settled));
    record.reach(RollStep::Settled, at(900));
    acts(&record, &facts, 900, RollAction::DeleteOld(CertificateLevel::Zone, id("old")));
    facts.certificates[0].1.status = DeploymentStatus::PendingDeletion;
    waits(&record, &facts, 901, "drop the old certificate");
    facts.certificates.remove(0);
    assert_eq!(next(&record, &facts, LAG, at(902)), RollNext::Reached(RollStep::Done));
    record.reach(RollStep::Done, at(902));
    assert_eq!(next(&record, &facts, LAG, at(902)), RollNext::Done);
}

#[test]
fn what_is_done_by_hand_meanwhile_stops_the_roll() {
    let (mut record, facts) = active();
    record.reach(RollStep::SwitchedOn, at(0));
    let changed = |change: fn(&mut RollFacts)| {
        let mut facts = facts.clone();
        change(&mut facts);
        facts
    };
    stops(&record, &changed(|it| it.ssl_mode = SslMode::Flexible), "the SSL mode");
    stops(&record, &changed(|it| it.zone_on = false), "was switched off, by hand");
    stops(&record, &changed(|it| drop(it.certificates.pop())), "was deleted at Cloudflare");
    let refused = |it: &mut RollFacts| it.trust[0].refused = Some("unknown_ca".to_owned());
    stops(&record, &changed(refused), "no longer does (unknown_ca)");
    let foreign = |it: &mut RollFacts| {
        let foreign = certificate("x", "x", DeploymentStatus::Active);
        it.certificates.push((CertificateLevel::Zone, foreign));
    };
    stops(&record, &changed(foreign), "somebody uploaded another certificate");
    let associated = |it: &mut RollFacts| {
        it.associations[0].1 = Some(HostAssociation {
            certificate: id("x"),
            status: DeploymentStatus::Active,
            certificate_status: None,
            enabled: Some(true),
            expires_on: None,
        });
    };
    stops(&record, &changed(associated), "association of example.com was changed");
    // An old one that somebody deleted already is no reason to stop.
    let gone = changed(|it| drop(it.certificates.remove(0)));
    waits(&record, &gone, 1, "a pull with the new certificate");
}

#[test]
fn a_roll_of_the_zone_leaves_hosts_with_a_certificate_of_their_own_alone() {
    let (record, facts) = begun(RollTarget::Zone);
    let own: Host = "own.example.com".parse().expect("a host");
    let association = HostAssociation {
        certificate: id("of-host"),
        status: DeploymentStatus::Active,
        certificate_status: None,
        enabled: Some(true),
        expires_on: None,
    };
    let before =
        HostBefore { host: own.to_string(), certificate: Some(id("of-host")), enabled: Some(true) };
    let (mut record, mut facts) = (record, facts);
    record.before.associations.push(before);
    facts.associations.push((own, Some(association)));
    let planned = plan(record.clone(), facts.clone(), at(0));
    assert_eq!(planned.last(), Some(&RollNext::Done), "{planned:?}");
    let associates = |it: &RollNext| matches!(it, RollNext::Act(RollAction::Associate(_)));
    assert!(!planned.iter().any(associates), "{planned:?}");
    record.undo = Some(at(1));
    facts.associations[1].1 = None;
    assert_eq!(next(&record, &facts, LAG, at(1)), RollNext::Undone);
}

#[test]
fn a_host_that_never_saw_the_new_one_does_not_tell_that_the_old_one_is_gone() {
    let (mut record, mut facts) = active();
    record.wait_for = 2;
    for step in [RollStep::SwitchedOn, RollStep::Seen] {
        record.reach(step, at(10));
    }
    facts.identities = vec![seen("new", 10)];
    let report = |host: &str, second, names: &[&str]| RollReport {
        host: host.to_owned(),
        at: at(second),
        seen: SeenIdentities {
            sites: vec![SiteIdentities {
                site: "example.com".to_owned(),
                identities: names.iter().map(|name| seen(name, second)).collect(),
                forgotten: 0,
            }],
        },
    };
    facts.reports = vec![report("web2", 20, &["new"]), report("web9", 700, &[])];
    waits(&record, &facts, 700, "1 of 2 hosts have seen the old one no more");
    facts.reports[0] = report("web2", 700, &["new"]);
    assert_eq!(next(&record, &facts, LAG, at(700)), RollNext::Reached(RollStep::Settled));
}

#[test]
fn a_clock_that_was_ahead_and_is_corrected_delays_nothing() {
    let (mut record, mut facts) = active();
    let ahead = 90_000;
    record.steps.truncate(2);
    record.uploaded = None;
    record.announced = Some(Announced { at: at(ahead), answered: false });
    record.steps[1].at = at(ahead);
    let ours = facts.certificates.pop().expect("ours");
    record.correct_times(at(100));
    assert_eq!((record.steps[0].at, record.steps[1].at), (at(0), at(100)));
    waits(&record, &facts, 159, "Cloudflare's list");
    acts(&record, &facts, 160, RollAction::Upload);
    facts.certificates.push(ours);
    record.uploaded = Some(id("ours"));
    for step in [RollStep::Uploaded, RollStep::Active, RollStep::SwitchedOn] {
        record.reach(step, at(100));
    }
    // The target was seen while the clock was ahead, and the old one, too.
    facts.identities = vec![seen("new", ahead), seen("old", ahead)];
    assert_eq!(next(&record, &facts, LAG, at(101)), RollNext::Reached(RollStep::Seen));
    record.reach(RollStep::Seen, at(101));
    waits(&record, &facts, 700, "presented no more");
    assert_eq!(next(&record, &facts, LAG, at(701)), RollNext::Reached(RollStep::Settled));
    // The clock of another host may be ahead by minutes.
    facts.identities[1] = seen("old", 900);
    waits(&record, &facts, 701, "still presented the old certificate");
}
