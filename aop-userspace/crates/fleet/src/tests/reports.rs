//! Tests of the report of a host and of its bound.

use aop_api::{
    ActionName, Expiry, InterfaceStatus, ModeName, PendingMode, PortMode, RefusalCount,
    SeenIdentity, SiteMode, Status, VerdictCount, timestamp,
};
use aop_sandbox::channel::encoded_len;

use super::{now, report_of};
use crate::MAX_REPORT;

fn identity(site: &str, key: usize) -> SeenIdentity {
    SeenIdentity {
        site: site.to_owned(),
        subject: "CN=edge".to_owned(),
        issuer: "CN=ca".to_owned(),
        spki_sha256: format!("{key:064x}"),
        serial: "01".to_owned(),
        not_before: timestamp(0),
        not_after: timestamp(2_000_000),
        level: "own".into(),
        client_ca: None,
        first_seen: timestamp(900_000 + key as u64),
        last_seen: timestamp(950_000 + key as u64),
        pulls: 7,
        roll: None,
    }
}

/// A host that has as much of everything as there can be, with texts that JSON escapes.
fn crowded(sites: usize) -> (Status, Vec<String>) {
    let ugly = "\"\\\u{1b}[31m".repeat(200);
    let names: Vec<String> = (0..sites).map(|at| format!("site-{at}.example.com")).collect();
    let mut status = Status::nothing();
    status.warnings = (0..50).map(|at| format!("{at}{ugly}")).collect();
    status.interfaces = (0..100)
        .map(|at| InterfaceStatus {
            name: format!("eth{at}"),
            attach: None,
            state: "missing".into(),
            attached: false,
            enforcing: false,
        })
        .collect();
    status.modes.ports = (0..100).map(|port| PortMode { port, mode: ModeName::Observe }).collect();
    status.modes.pending = Some(PendingMode {
        mode: ModeName::Enforce,
        ports: (0..1000).collect(),
        interfaces: vec![ugly.clone(); 100],
        sites: vec![ugly.clone(); 100],
        pulls: None,
        pulls_so_far: None,
        reverts_to: ugly.clone(),
        until: now(),
    });
    let count = |at: usize| RefusalCount {
        site: "-".into(),
        reason: format!("reason_{at}_{}", "x".repeat(60)),
        count: at as u64,
    };
    status.handshakes.refused = (0..100).map(count).collect();
    status.handshakes.observed = (0..100).map(count).collect();
    let verdict = |at: usize| VerdictCount {
        interface: "eth0".into(),
        action: if at.is_multiple_of(2) { ActionName::Drop } else { ActionName::WouldDrop },
        reason: format!("reason_{at}"),
        packets: at as u64,
        bytes: 1,
    };
    status.verdicts = (0..100).map(verdict).collect();
    let expiry = Expiry {
        what: "client_ca".into(),
        site: ugly.clone(),
        subject: ugly.clone(),
        file: ugly.clone(),
        not_after: now(),
    };
    status.ends = vec![expiry; 32];
    status.prefixes.source = Some(ugly.clone());
    status.prefixes.last_error = Some(ugly);
    status.identities =
        names.iter().flat_map(|site| (0..9).map(move |key| identity(site, key))).collect();
    (status, names)
}

#[test]
fn the_most_crowded_host_has_a_report_within_the_bound_that_counts_the_rest() {
    for sites in [0, 1, 5, 1000] {
        let (status, names) = crowded(sites);
        let report = report_of("web-1", status, &names);
        let length = encoded_len(&report);
        assert!(length <= MAX_REPORT, "{sites} sites: {length} bytes");
        assert_eq!(report.sites_total, sites);
        assert_eq!(report.sites.len() + report.more_sites, sites);
        assert!(report.warnings.len() + report.failures.len() + report.more_warnings >= 50);
        assert_eq!(report.interfaces.len() + report.more_interfaces, 100);
        for site in &report.sites {
            assert_eq!((site.identities.len(), site.more_identities), (4, 5));
            // The last first.
            assert!(site.identities[0].last_seen > site.identities[3].last_seen);
        }
        // It is what etcd gives back.
        let text = serde_json::to_string(&report).expect("JSON");
        assert_eq!(serde_json::from_str::<aop_api::OriginReport>(&text).expect("it"), report);
        assert!(!text.contains('\u{1b}') && !text.contains("\\u001b"));
    }
}

#[test]
fn sites_fill_the_bound_and_the_next_one_would_exceed_it() {
    let (_, names) = crowded(1000);
    let mut status = Status::nothing();
    status.identities = names.iter().map(|site| identity(site, 1)).collect();
    let report = report_of("web-1", status, &names);
    let left = MAX_REPORT - encoded_len(&report);
    assert!(report.more_sites > 0 && left < 400, "{left} bytes are left");
}

#[test]
fn modes_of_sites_and_sums_are_those_of_the_status() {
    let mut status = Status::nothing();
    let names = ["a.test".to_owned(), "b.test".to_owned()];
    status.modes.sites = vec![SiteMode {
        site: "b.test".into(),
        mode: ModeName::Observe,
        configured: None,
        said: true,
    }];
    status.verdicts = vec![VerdictCount {
        interface: "eth0".into(),
        action: ActionName::WouldDrop,
        reason: "unknown_source".into(),
        packets: 9,
        bytes: 1,
    }];
    let report = report_of("web-1", status, &names);
    assert_eq!((report.sites_total, report.sites_enforcing), (2, 1));
    assert_eq!(report.sites[1].mode, ModeName::Observe);
    assert_eq!((report.would_drop[0].count, report.dropped.len()), (9, 0));
}
