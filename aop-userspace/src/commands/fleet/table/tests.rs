//! Tests of the pages.

use aop_api::{FleetSums, HostPulls, OverviewState, ReasonSum, timestamp};

use super::*;

fn report(name: &str) -> OriginReport {
    OriginReport {
        name: name.to_owned(),
        instance: "ab".repeat(16),
        version: "0.1.0".to_owned(),
        at: timestamp(0),
        uptime_seconds: 9,
        labels: [("ring".to_owned(), "canary".to_owned())].into(),
        state: OverviewState::Warning,
        failures: Vec::new(),
        warnings: Vec::new(),
        more_warnings: 0,
        mode: ModeName::Enforce,
        overrides: Vec::new(),
        pending: None,
        orders: Vec::new(),
        openings: 0,
        interfaces: Vec::new(),
        more_interfaces: 0,
        list: aop_api::ReportedList { digest: "a3261f99".to_owned(), ..Default::default() },
        sites_total: 1000,
        sites_enforcing: 999,
        sites: Vec::new(),
        more_sites: 998,
        accepted: 0,
        refused: vec![ReasonSum { reason: "no_name".to_owned(), count: 3 }],
        observed: Vec::new(),
        dropped: Vec::new(),
        would_drop: Vec::new(),
        ends: Vec::new(),
    }
}

fn host(name: &str, state: FleetHostState) -> FleetHost {
    FleetHost {
        name: name.to_owned(),
        state,
        last_seen: None,
        reasons: vec!["a reason that is far too long for what is left of a line".to_owned()],
        report: Some(report(name)),
    }
}

fn fleet(hosts: Vec<FleetHost>) -> FleetReport {
    let sums = FleetSums { hosts: hosts.len(), warning: hosts.len(), ..FleetSums::default() };
    let warnings = Vec::new();
    FleetReport { at: timestamp(0), prefix: "/aop".to_owned(), warnings, sums, hosts }
}

#[test]
fn each_host_has_a_line_of_80_columns_and_one_alone_has_everything() {
    let long = "a-very-long-name-of-a-host.in-a-long-domain.example.com";
    let silent = FleetHost { report: None, ..host("web-2", FleetHostState::Silent) };
    let both = fleet(vec![host(long, FleetHostState::Critical), silent.clone()]);
    let text = status(&both, 0, Colours::Off, 80);
    let width = |line: &&str| line.chars().count() <= 80;
    assert!(text.lines().all(|line| width(&line)), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(
        lines[2].starts_with("HOST             STATE    PACKETS SITES   LIST   ENDS"),
        "{text}"
    );
    assert!(lines[3].starts_with("a-very-long-nam… critical enforce 999/10… a3261f"), "{text}");
    assert!(lines[4].starts_with("web-2            silent ") && lines[4].ends_with('…'), "{text}");
    let alone = status(&fleet(vec![host("web-1", FleetHostState::Warning)]), 2, Colours::Off, 80);
    for said in [
        "2 keys in etcd cannot be read",
        "- a reason that is far too long for what is left of a line",
        "labels: ring=canary",
        "998 more sites",
        "refused: 3 no_name",
    ] {
        assert!(alone.contains(said), "{alone}");
    }
}

#[test]
fn a_full_etcd_is_told_first_and_a_silent_host_has_a_cure_only_without_it() {
    let mut report =
        fleet(vec![FleetHost { report: None, ..host("web-2", FleetHostState::Silent) }]);
    report.sums.silent = 1;
    let text = status(&report, 0, Colours::Off, 80);
    assert!(text.ends_with("aop fleet forget NAME\n"), "{text}");
    report.warnings = vec!["etcd is full, and takes nothing: ".to_owned() + &"x ".repeat(60)];
    let text = status(&report, 0, Colours::Off, 80);
    assert!(text.starts_with("! etcd is full") && !text.contains("forget"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn forged_numbers_of_sites_end_at_the_largest_one() {
    let mut report = fleet(vec![host("web-1", FleetHostState::Ok)]);
    report.sums.packets.enforce = 1;
    (report.sums.sites.enforce, report.sums.sites.observe) = (usize::MAX, usize::MAX);
    let text = status(&report, 0, Colours::Off, 80);
    assert!(text.contains(&format!("of {} enforce", usize::MAX)), "{text}");
}

#[test]
fn no_host_is_said_so() {
    let text = status(&fleet(Vec::new()), 0, Colours::Off, 80);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("no host: none has reported"), "{text}");
}

#[test]
fn many_hosts_that_lack_a_certificate_are_named_in_part() {
    let certificate = FleetCertificate {
        site: "example.com".to_owned(),
        spki_sha256: "ab".repeat(32),
        level: "own".into(),
        not_after: timestamp(0),
        first_seen: timestamp(0),
        last_seen: timestamp(0),
        pulls: 7,
        hosts: vec![HostPulls {
            host: "web-0".to_owned(),
            first_seen: timestamp(0),
            last_seen: timestamp(0),
            pulls: 7,
        }],
        missing: (1..31).map(|at| format!("web-{at}")).collect(),
    };
    let found = FleetIdentities {
        at: timestamp(0),
        certificates: vec![certificate],
        silent: vec!["web-40".to_owned()],
        unclear: vec!["web-41".to_owned()],
        incomplete: Vec::new(),
    };
    let text = identities(&found);
    assert!(text.starts_with("example.com: 1 certificate\n"), "{text}");
    assert!(text.contains("at 1 of 31 hosts, 7 pulls"), "{text}");
    assert!(text.contains("web-20 and 10 more\n") && !text.contains("web-21"), "{text}");
    assert!(text.contains("silent, so not known: web-40\n"), "{text}");
    assert!(text.contains("unclear, so not known: web-41 ("), "{text}");
}
