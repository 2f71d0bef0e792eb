//! Tests of a fleet at a glance.

use aop_api::{
    CertificateUse, FleetOrders, FleetOverview, ModeChange, ModeName, ModeTarget, Order,
    OrderState, OrderedHost, OrderedHosts, OverviewState, PendingMode, Request, StoredOrder, Wave,
    timestamp,
};

use super::{good, name, now, site, stored};
use crate::{HostFilter, MORE_ORDERS, StoredFleet, fleet_identities, fleet_overview, fleet_report};

fn overview(fleet: StoredFleet, orders: Vec<StoredOrder>) -> FleetOverview {
    let filter = HostFilter::default();
    let identities = fleet_identities(&fleet, &filter, None, now());
    let unreadable = fleet.unreadable;
    let report = fleet_report(fleet, &filter, &"/aop".parse().expect("a prefix"), now());
    fleet_overview(
        &report,
        identities,
        FleetOrders { orders, unreadable: 1, more: true },
        unreadable,
    )
}

fn order(serial: u64, hosts: OrderedHosts, request: Request) -> StoredOrder {
    let order = Order {
        fleet: "/aop".to_owned(),
        serial,
        issued: now(),
        expires: timestamp(1_000_600),
        hosts,
        request,
    };
    StoredOrder { order, operator: "ed25519:x".to_owned(), genuine: true, hosts: Vec::new() }
}

#[test]
fn each_host_is_a_short_cell_the_worst_first_and_values_are_counted() {
    let mut bad = good("c");
    bad.state = OverviewState::Critical;
    bad.failures = vec!["x".repeat(500)];
    bad.version = "9.9.9".to_owned();
    (bad.sites_total, bad.sites_enforcing) = (5, 3);
    let mut fleet = stored(vec![good("a"), good("b"), bad]);
    fleet.seen.insert(name("d"), timestamp(999_000));
    fleet.unreadable = 2;
    fleet.warnings = vec!["etcd is full".to_owned()];
    let shown = overview(fleet, Vec::new());
    let names: Vec<_> = shown.hosts.rows.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["c", "d", "a", "b"]);
    let [bad, silent, ok, _] = &shown.hosts.rows[..] else { panic!("{shown:?}") };
    assert_eq!(bad.sites_observing, Some(2));
    assert_eq!(bad.why.as_ref().map(|why| why.chars().count()), Some(101));
    assert_eq!((silent.mode.clone(), silent.sites_observing), (None, None));
    assert_eq!((ok.mode.clone(), ok.waits), (Some(ModeName::Enforce), false));
    let versions: Vec<_> = shown.versions.rows.iter().map(|it| it.hosts).collect();
    assert_eq!((versions, shown.versions.rows[1].value.as_str()), (vec![2, 1], "9.9.9"));
    assert_eq!(shown.unreadable, 3);
    assert_eq!(shown.warnings, ["etcd is full", MORE_ORDERS]);
    // Ten thousand of them are a megabyte.
    let bytes = serde_json::to_string(ok).expect("JSON").len();
    assert!(bytes < 100, "{bytes}");
}

#[test]
fn a_certificate_is_gone_once_each_host_has_seen_it_last_before_the_newest_one() {
    let with = |host: &str, name: &str, seen: &[(&str, u64)]| {
        let mut report = good(host);
        report.sites = vec![site(name, seen)];
        report
    };
    let rows = |reports| overview(stored(reports), Vec::new()).certificates.rows;
    let place = |seen_by_b: &[(&str, u64)]| {
        let rows = rows(vec![
            with("a", "one", &[("new", 500), ("old", 100)]),
            with("b", "one", seen_by_b),
            with("c", "two", &[("old", 100)]),
        ]);
        let [new, old, other] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((new.spki_sha256.as_str(), &new.state), ("new", &CertificateUse::Newest));
        assert_eq!((other.site.as_str(), &other.state), ("two", &CertificateUse::Newest));
        assert_eq!((old.serving, old.missing.total), (2, 0));
        (old.state.clone(), old.used_at, new.missing.rows.clone())
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(place(&[("new", 500), ("old", 100)]), (CertificateUse::Gone, 0, none.clone()));
    // Seen last at 510, after the newest one.
    assert_eq!(place(&[("new", 505), ("old", 500)]), (CertificateUse::InUse, 1, none));
    assert_eq!(place(&[("old", 100)]), (CertificateUse::InUse, 1, vec!["b".to_owned()]));
}

#[test]
fn a_mode_that_waits_is_listed_with_its_host_the_soonest_first() {
    let waiting = |host: &str, until: u64| {
        let mut report = good(host);
        report.pending = Some(PendingMode {
            mode: ModeName::Enforce,
            ports: Vec::new(),
            interfaces: Vec::new(),
            sites: Vec::new(),
            pulls: Some(20),
            pulls_so_far: Some(3),
            reverts_to: "observe".to_owned(),
            until: timestamp(until),
        });
        report
    };
    let shown = overview(stored(vec![waiting("a", 2000), waiting("b", 1000)]), Vec::new());
    let hosts: Vec<_> = shown.waiting.rows.iter().map(|it| it.host.as_str()).collect();
    assert_eq!(hosts, ["b", "a"]);
    assert!(shown.hosts.rows.iter().all(|cell| cell.waits));
}

#[test]
fn orders_come_in_words_the_newest_first_with_the_hosts_that_stopped_them() {
    let all = OrderedHosts { names: vec!["*".to_owned()], ..OrderedHosts::default() };
    let canary = OrderedHosts {
        names: vec!["web-*\u{202e}".to_owned()],
        labels: [("ring".to_owned(), "canary".to_owned())].into(),
        wave: Some(Wave { from: 0, below: 9 }),
    };
    let enforce = ModeChange {
        ports: vec![443],
        confirm_seconds: Some(600),
        confirm_pulls: Some(20),
        ..ModeChange::to(ModeTarget::Enforce)
    };
    let mut second = order(2, canary, Request::Mode(enforce));
    let took = |host: &str, state: OrderState, error: Option<&str>| OrderedHost {
        host: host.to_owned(),
        state,
        at: now(),
        error: error.map(str::to_owned),
    };
    second.hosts = vec![
        took("a", OrderState::Lasting, None),
        took("b", OrderState::Lasting, None),
        took("c", OrderState::TakenBack, None),
        took("d", OrderState::Refused, Some("nobody has pulled")),
    ];
    let reload = order(1, all, Request::Reload);
    let shown = overview(stored(vec![good("a")]), vec![reload, second]).orders.rows;
    let [second, first] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!((first.request.as_str(), first.hosts.as_str()), ("reload", "*"));
    assert_eq!(second.request, "enforce port 443, confirm within 10 min 0 s or 20 pulls");
    assert_eq!(second.hosts, "web-*\\u{202e}, ring=canary, one wave of them");
    let states: Vec<_> = second.states.iter().map(|it| (it.value.as_str(), it.hosts)).collect();
    assert_eq!(states, [("lasting", 2), ("refused", 1), ("taken_back", 1)]);
    let stopped: Vec<_> =
        second.stopped.rows.iter().map(|it| (it.host.as_str(), it.why.as_str())).collect();
    assert_eq!(stopped, [("c", "it went back"), ("d", "nobody has pulled")]);
}
