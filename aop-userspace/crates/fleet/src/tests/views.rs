//! Tests of what an operator sees.

use aop_api::{FleetHostState, ModeName, OrderResult, OrderState, OverviewState, timestamp};

use super::{good, name, now, site, stored};
use crate::{HostFilter, NamePattern, fleet_identities, fleet_report, order_list::hosts_of};

fn all() -> HostFilter {
    HostFilter::default()
}

#[test]
fn the_worst_host_comes_first_and_the_sums_count_each() {
    let mut critical = good("e");
    critical.state = OverviewState::Critical;
    critical.failures = vec!["eth0 is not attached".to_owned()];
    critical.mode = ModeName::Observe;
    let mut warning = good("c");
    warning.state = OverviewState::Warning;
    warning.list.digest = "cd".repeat(32);
    warning.version = "9.9.9".to_owned();
    (warning.sites_total, warning.sites_enforcing) = (5, 3);
    let mut fleet = stored(vec![good("b"), good("a"), critical, warning]);
    fleet.add_report(name("d"), None);
    fleet.seen = [(name("a"), now()), (name("f"), timestamp(999_000))].into();
    let report = fleet_report(fleet, &all(), &"/aop".parse().expect("a prefix"), now());
    let order: Vec<_> =
        report.hosts.iter().map(|it| (it.name.as_str(), it.state.as_str())).collect();
    assert_eq!(
        order,
        [
            ("e", "critical"),
            ("f", "silent"),
            ("d", "unclear"),
            ("c", "warning"),
            ("a", "ok"),
            ("b", "ok"),
        ]
    );
    assert_eq!(report.hosts[0].reasons, ["eth0 is not attached"]);
    assert_eq!(report.hosts[1].reasons, ["it last reported 16 min 40 s ago"]);
    let sums = &report.sums;
    assert_eq!((sums.hosts, sums.critical, sums.silent, sums.unclear), (6, 1, 1, 1));
    assert_eq!((sums.warning, sums.ok, sums.lists, sums.versions), (1, 2, 2, 2));
    assert_eq!((sums.packets.enforce, sums.packets.observe), (3, 1));
    assert_eq!((sums.sites.enforce, sums.sites.observe), (3, 2));
}

#[test]
fn a_claimed_name_a_foreign_report_and_a_wrong_clock_are_told() {
    let mut early = good("a");
    early.at = timestamp(1_000_000 - 300);
    let mut late = good("b");
    late.at = timestamp(1_000_000 + 300);
    let mut fleet = stored(vec![early, late, good("c")]);
    fleet.claimed.insert(name("c"));
    fleet.add_report(name("d"), Some(good("e")));
    let report = fleet_report(fleet, &all(), &"/aop".parse().expect("a prefix"), now());
    let told = |host: &str| {
        let host = report.hosts.iter().find(|it| it.name == host).expect("a host");
        (host.state.clone(), host.reasons[0].clone())
    };
    for host in ["a", "b"] {
        let (state, why) = told(host);
        assert_eq!(state, FleetHostState::Warning);
        assert!(why.contains("5 min 0 s apart"), "{why}");
    }
    assert_eq!(told("c").0, FleetHostState::Unclear);
    assert!(told("c").1.contains("claims this name"));
    assert_eq!(told("d"), (FleetHostState::Unclear, "its report is that of e".to_owned()));
}

#[test]
fn a_silent_host_whose_clock_was_ahead_is_not_told_as_one_of_this_moment() {
    let mut fleet = stored(Vec::new());
    fleet.seen.insert(name("a"), timestamp(1_000_000 + 3600));
    let report = fleet_report(fleet, &all(), &"/aop".parse().expect("a prefix"), now());
    let why = &report.hosts[0].reasons[0];
    assert!(why.contains("1 h 0 min ahead") && why.contains("compare the clocks"), "{why}");
}

#[test]
fn names_and_labels_select_hosts() {
    let mut labelled = good("web-1");
    labelled.labels = [("ring".to_owned(), "canary".to_owned())].into();
    let matches = |pattern: &str, host: &str| {
        let names = vec![pattern.parse().expect("a pattern")];
        HostFilter { names, ..HostFilter::default() }.matches(&name(host), None)
    };
    for (pattern, host, expected) in [
        ("web-1", "web-1", true),
        ("web-1", "web-17", false),
        ("web-*", "web-17", true),
        ("*-17", "web-17", true),
        ("w*b*1*", "web-17", true),
        ("*a*b", "aab", true),
        ("*a*b", "aba", false),
        ("web-?", "web-1", true),
        ("web-?", "web-17", false),
        ("*", "x", true),
        ("", "x", false),
    ] {
        assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
    }
    for pattern in ["web-[1", "a**b"] {
        let refused = pattern.parse::<NamePattern>().expect_err(pattern);
        assert!(refused.contains("is no pattern of names"), "{refused}");
    }
    let ring = |value: &str| HostFilter {
        names: Vec::new(),
        labels: [("ring".to_owned(), value.to_owned())].into(),
    };
    assert!(ring("canary").matches(&name("web-1"), Some(&labelled)));
    assert!(!ring("main").matches(&name("web-1"), Some(&labelled)));
    assert!(!ring("canary").matches(&name("web-1"), None));
}

#[test]
fn a_certificate_is_listed_with_the_hosts_that_have_it_and_those_that_lack_it() {
    let with = |host: &str, seen: &[(&str, u64)]| {
        let mut report = good(host);
        report.sites = vec![site("example.com", seen)];
        report
    };
    let mut other = with("d", &[("old", 40)]);
    other.sites[0].site = "example.net".to_owned();
    let mut cut = good("e");
    cut.more_sites = 3;
    let mut fleet = stored(vec![
        with("a", &[("new", 500), ("old", 100)]),
        with("b", &[("old", 50)]),
        with("c", &[("new", 400)]),
        other,
        cut,
    ]);
    fleet.seen.insert(name("gone"), now());
    let found = fleet_identities(&fleet, &all(), Some("example.com"), now());
    let [new, old] = &found.certificates[..] else { panic!("{found:?}") };
    assert_eq!((new.spki_sha256.as_str(), old.spki_sha256.as_str()), ("new", "old"));
    let hosts: Vec<_> = new.hosts.iter().map(|it| it.host.as_str()).collect();
    assert_eq!((hosts, new.missing.clone()), (vec!["a", "c"], vec!["b".to_owned()]));
    assert_eq!((new.first_seen, new.last_seen), (timestamp(400), timestamp(510)));
    assert_eq!((new.pulls, old.missing.clone()), (10, vec!["c".to_owned()]));
    assert_eq!(found.silent, ["gone"]);
    assert_eq!(found.incomplete, ["e"]);
    assert_eq!(fleet_identities(&fleet, &all(), None, now()).certificates.len(), 3);
}

#[test]
fn a_report_that_may_not_be_of_its_host_says_nothing_of_certificates_and_orders() {
    let with = |host: &str| {
        let mut report = good(host);
        report.sites = vec![site("example.com", &[("new", 500)])];
        report.orders = vec![taken(17)];
        report
    };
    let mut fleet = stored(vec![with("web-1"), with("claimed")]);
    fleet.claimed.insert(name("claimed"));
    // A host may write any name into its report, and nothing into that of another one.
    fleet.add_report(name("false"), Some(with("web-2")));
    fleet.add_report(name("unreadable"), None);
    let mut lacks_it = good("web-2");
    lacks_it.sites = vec![site("example.com", &[])];
    fleet.add_report(name("web-2"), Some(lacks_it));
    let found = fleet_identities(&fleet, &all(), None, now());
    let [new] = &found.certificates[..] else { panic!("{found:?}") };
    let hosts: Vec<_> = new.hosts.iter().map(|it| it.host.as_str()).collect();
    assert_eq!((hosts, new.missing.clone(), new.pulls), (vec!["web-1"], vec!["web-2".into()], 5));
    assert_eq!(found.unclear, ["claimed", "false", "unreadable"]);
    let took: Vec<_> = hosts_of(17, &fleet).into_iter().map(|it| it.host).collect();
    assert_eq!(took, ["web-1"]);
}

/// An order that a host has taken.
fn taken(serial: u64) -> OrderResult {
    let operator = String::new();
    OrderResult { serial, operator, at: now(), state: OrderState::Done, error: None }
}
