use std::net::Ipv4Addr;

use super::*;
use crate::{
    ExpiryKind, Handshakes, IdentityLevel, OpenRequestsReport, OrderResult, OrderState, Requests,
    SlotUsageReport,
};

fn overview(status: Status, draining: Option<&str>) -> Overview {
    Overview::of(status, Vec::new(), draining, "web1", Timestamp::UNIX_EPOCH)
}

/// Of a daemon that runs without a firewall.
fn serving() -> Status {
    let daemon =
        DaemonReport { pid: 7, uptime_seconds: 5, open_connections: 0, config_changed: None };
    Status { daemon: Some(daemon), mode: ModeName::Off, ..Status::nothing() }
}

fn refusal(site: &str, reason: &str, count: u64) -> RefusalCount {
    RefusalCount { site: site.to_owned(), reason: reason.to_owned(), count }
}

fn identity(subject: &str, last_seen: i64) -> SeenIdentity {
    let text = || subject.to_owned();
    let seen = Timestamp::from_second(last_seen).expect("a time");
    SeenIdentity {
        site: text(),
        subject: text(),
        issuer: text(),
        spki_sha256: text(),
        serial: text(),
        not_before: seen,
        not_after: seen,
        level: IdentityLevel::Own,
        client_ca: Some(text()),
        first_seen: seen,
        last_seen: seen,
        pulls: 1,
        roll: None,
    }
}

#[test]
fn the_verdict_is_that_of_the_status_and_draining_is_critical() {
    assert_eq!(overview(serving(), None).state, OverviewState::Ok);
    let warned = || Status { warnings: vec!["look".to_owned()], ..serving() };
    assert_eq!(overview(warned(), None).state, OverviewState::Warning);
    let silent = overview(Status { daemon: None, ..serving() }, None);
    assert_eq!(silent.state, OverviewState::Critical);
    assert_eq!(silent.obstacles.rows, ["aop does not answer"]);
    let critical = overview(warned(), Some("it drains"));
    assert_eq!(critical.state, OverviewState::Critical);
    assert_eq!(critical.obstacles, Listed { rows: vec!["it drains".to_owned()], total: 1 });
    assert_eq!(critical.warnings.rows, ["look"]);
}

#[test]
fn counters_are_summed_over_interfaces_and_over_sites() {
    let verdict = |interface: &str, action, packets| VerdictCount {
        interface: interface.to_owned(),
        action,
        reason: "unknown_source".to_owned(),
        packets,
        bytes: packets * 60,
    };
    let usage = |open| SlotUsageReport { open, limit: 9 };
    let open = |requests, tunnels| OpenRequestsReport {
        site: "a".to_owned(),
        requests: usage(requests),
        tunnels: usage(tunnels),
    };
    let status = Status {
        verdicts: vec![
            verdict("eth0", ActionName::Drop, 3),
            verdict("eth1", ActionName::Drop, 4),
            verdict("eth1", ActionName::WouldDrop, 5),
        ],
        handshakes: Handshakes {
            refused: vec![refusal("a", "expired", 1), refusal("b", "expired", 2)],
            observed: vec![refusal("a", "no_name", 7)],
            ..Handshakes::default()
        },
        requests: Requests {
            refused: vec![refusal("a", "wrong_host", 1)],
            open: vec![open(1, 2), open(3, 4)],
            ..Requests::default()
        },
        ..Status::nothing()
    };
    let overview = overview(status, None);
    let sum = |action, packets| PacketSum {
        action,
        reason: "unknown_source".to_owned(),
        packets,
        bytes: packets * 60,
    };
    assert_eq!(overview.packets, [sum(ActionName::Drop, 7), sum(ActionName::WouldDrop, 5)]);
    let counted = |reason: &str, count| vec![ReasonSum { reason: reason.to_owned(), count }];
    assert_eq!(overview.refused, counted("expired", 3));
    assert_eq!(overview.observed, counted("no_name", 7));
    assert_eq!(overview.denied, counted("wrong_host", 1));
    assert_eq!((overview.requests_open, overview.tunnels_open), (4, 6));
}

#[test]
fn the_certificates_that_were_seen_last_come_first() {
    let status = Status {
        identities: vec![identity("old", 1), identity("new", 3), identity("between", 2)],
        ..Status::nothing()
    };
    let subjects = overview(status, None).identities.rows.into_iter().map(|it| it.subject);
    assert_eq!(subjects.collect::<Vec<_>>(), ["new", "between", "old"]);
}

#[test]
fn the_document_is_bounded_whatever_the_terminator_reports() {
    let long = "\u{1b}<img src=x>".repeat(100);
    let many = 500;
    let peer = |_| RefusedPeer {
        address: Ipv4Addr::LOCALHOST.into(),
        admitted_by: None,
        site: long.clone(),
        reason: long.clone(),
        count: 1,
        last_seen: Timestamp::UNIX_EPOCH,
    };
    let expiry = |_| Expiry {
        what: ExpiryKind::Crl,
        site: long.clone(),
        subject: long.clone(),
        file: long.clone(),
        not_after: Timestamp::UNIX_EPOCH,
    };
    let upstream = |_| UpstreamReport {
        site: long.clone(),
        upstream: long.clone(),
        good: Some(false),
        error: Some(long.clone()),
    };
    let reasons = || (0..many).map(|n| refusal("a", &format!("{n}{long}"), 1)).collect();
    let status = Status {
        handshakes: Handshakes {
            refused: reasons(),
            observed: reasons(),
            refused_lately: (0..100).map(peer).collect(),
            ..Handshakes::default()
        },
        requests: Requests { refused: reasons(), ..Requests::default() },
        upstreams: (0..100).map(upstream).collect(),
        identities: (0..100).map(|at| identity(&long, at)).collect(),
        ends: (0..100).map(expiry).collect(),
        warnings: vec![long.clone(); 100],
        unguardable: vec![long.clone(); 100],
        ..Status::nothing()
    };
    let overview = overview(status, Some(&long));
    assert_eq!((overview.identities.rows.len(), overview.identities.total), (MAX_ROWS, 100));
    let others = overview.refused.iter().find(|sum| sum.reason == OTHER).expect("a sum");
    assert_eq!((overview.refused.len(), others.count), (MAX_REASONS + 1, 436));
    let text = serde_json::to_string(&overview).expect("JSON");
    assert!(text.len() < 512 * 1024, "{} bytes", text.len());
    assert!(!text.contains("\\u001b"), "a control character is left");
}

#[test]
fn the_link_to_the_fleet_is_shown_with_its_texts_cut() {
    assert_eq!(overview(serving(), None).fleet, None);
    let order = OrderResult {
        serial: 4,
        operator: "ed25519:x".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        state: OrderState::Refused,
        error: Some("\u{1b}".repeat(500)),
    };
    let link =
        FleetLink { error: Some("x".repeat(5000)), order: Some(order), ..FleetLink::starting() };
    let shown = overview(Status { fleet: Some(link), ..serving() }, None).fleet.expect("a link");
    assert_eq!(shown.error.map(|why| why.chars().count()), Some(MAX_FIELD + 1));
    let refused = shown.order.and_then(|order| order.error).expect("an error");
    assert!(refused.chars().count() == MAX_FIELD + 1 && !refused.contains('\u{1b}'), "{refused}");
}
