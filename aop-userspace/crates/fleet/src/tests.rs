//! Tests of reports and of what an operator sees of them.

mod overviews;
mod reports;
mod views;
mod wave_watch;

use aop_api::{
    IdentityLevel, ModeName, OriginReport, ReportedIdentity, ReportedSite, Status, timestamp,
};
use aop_config::{FleetLabels, FleetName};
use jiff::Timestamp;

use crate::{ReportFacts, StoredFleet, host_report};

/// The moment of all tests.
fn now() -> Timestamp {
    timestamp(1_000_000)
}

fn name(text: &str) -> FleetName {
    text.parse().expect("a name")
}

/// The report of a host with this status and these sites.
fn report_of(host: &str, status: Status, sites: &[String]) -> OriginReport {
    let facts = ReportFacts {
        name: &name(host),
        instance: "0123456789abcdef0123456789abcdef",
        labels: &FleetLabels::default(),
        sites,
        list_digest: "ab".repeat(32),
        orders: Vec::new(),
        draining: None,
        at: now(),
    };
    host_report(status, &facts)
}

/// A report of a host on which all is well.
pub(crate) fn good(host: &str) -> OriginReport {
    let report = report_of(host, Status::nothing(), &[]);
    OriginReport {
        state: aop_api::OverviewState::Ok,
        failures: Vec::new(),
        warnings: Vec::new(),
        more_warnings: 0,
        mode: ModeName::Enforce,
        ..report
    }
}

/// A site that has seen certificates with these keys at these moments.
fn site(name: &str, seen: &[(&str, u64)]) -> ReportedSite {
    let identity = |(key, at): &(&str, u64)| ReportedIdentity {
        serial: String::new(),
        spki_sha256: (*key).to_owned(),
        level: IdentityLevel::Own,
        first_seen: timestamp(*at),
        last_seen: timestamp(at + 10),
        pulls: 5,
        not_after: timestamp(2_000_000),
    };
    ReportedSite {
        site: name.to_owned(),
        mode: ModeName::Enforce,
        identities: seen.iter().map(identity).collect(),
        more_identities: 0,
    }
}

/// An etcd with these reports, and nothing else.
fn stored(reports: Vec<OriginReport>) -> StoredFleet {
    let mut fleet = StoredFleet::default();
    for report in reports {
        fleet.add_report(name(&report.name), Some(report));
    }
    fleet
}
