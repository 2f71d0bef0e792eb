//! Families of the link to the fleet. Without a fleet they have no series.

use aop_api::{FleetLink, FleetLinkState};
use prometheus_client::registry::Unit;

use super::{MetricFamily, counter, gauge, seconds, some};
use crate::metrics_snapshot::MetricsSnapshot;

pub(super) fn families(snapshot: &MetricsSnapshot) -> [MetricFamily; 5] {
    let link = snapshot.status.fleet.as_ref();
    let reporting = |link: &FleetLink| u64::from(link.state == FleetLinkState::Reporting);
    [
        gauge(
            "fleet_reporting",
            "Whether etcd took the last report of this host",
            some(link.map(reporting)),
        ),
        counter(
            "fleet_reports",
            "Reports of this host that etcd took",
            some(link.map(|link| link.reports)),
        ),
        counter(
            "fleet_report_failures",
            "Attempts to report that failed",
            some(link.map(|link| link.failures)),
        ),
        gauge(
            "fleet_last_report_timestamp",
            "When etcd last took a report",
            some(link.and_then(|link| link.reported_at).and_then(seconds)),
        )
        .with_unit(Unit::Seconds),
        gauge(
            "fleet_report_size",
            "The size of the last report",
            some(link.map(|link| link.report_bytes as u64)),
        )
        .with_unit(Unit::Bytes),
    ]
}
