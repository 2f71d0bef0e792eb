//! The metric families. A family whose figures are unknown has no series: a zero would be false.

mod cloudflare;
mod fleet;
mod packets;
mod sites;

use std::fmt;

use aop_api::ReloadOutcome;
use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{MetricType, exemplar::Exemplar},
    registry::Unit,
};

use crate::metrics_snapshot::MetricsSnapshot;

/// All families at one moment.
#[derive(Debug)]
pub(super) struct Families(Vec<MetricFamily>);

/// A metric family. Its name is exported with the prefix `aop_`, and with its unit and `_total` at
/// the end.
#[derive(Debug)]
struct MetricFamily {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    kind: MetricType,
    series: Vec<Series>,
}

/// Labels, and the value under them.
type Series = (Vec<(&'static str, String)>, u64);

impl Families {
    /// The families of `snapshot`. `began` is when the daemon became ready, in seconds since 1970.
    pub(super) fn new(snapshot: &MetricsSnapshot, began: u64, ready: bool) -> Self {
        let mut all = daemon(snapshot, began, ready);
        all.extend(packets::families(snapshot));
        all.extend(sites::families(snapshot));
        all.extend(cloudflare::families(snapshot));
        all.extend(fleet::families(snapshot));
        Self(all)
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for MetricFamily { name, help, unit, kind, series } in &self.0 {
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), *kind)?;
            for (labels, value) in series {
                let mut one = family.encode_family(labels)?;
                if *kind == MetricType::Counter {
                    one.encode_counter(value, NO_EXEMPLAR)?;
                } else {
                    one.encode_gauge(value)?;
                }
            }
        }
        Ok(())
    }
}

const NO_EXEMPLAR: Option<&Exemplar<Vec<(&'static str, String)>, u64>> = None;

fn daemon(snapshot: &MetricsSnapshot, began: u64, ready: bool) -> Vec<MetricFamily> {
    let status = &snapshot.status;
    let version = vec![("version", status.version.clone())];
    let reload = status.last_reload.as_ref();
    let good = |outcome| outcome != ReloadOutcome::Refused;
    vec![
        gauge("build_info", "The version of aop", vec![(version, 1)]),
        gauge("start_time", "When the daemon became ready", one(began)).with_unit(Unit::Seconds),
        gauge("ready", "Whether /readyz answers 200", one(ready.into())),
        gauge(
            "predecessors",
            "Daemons that an upgrade has replaced and that still serve connections",
            one(status.predecessors.len() as u64),
        ),
        gauge(
            "last_reload_successful",
            "Whether the last reload was applied, or its files have changed back",
            some(reload.map(|reload| good(reload.outcome).into())),
        ),
        gauge(
            "last_reload_timestamp",
            "When the last reload finished",
            some(reload.and_then(|reload| seconds(reload.at))),
        )
        .with_unit(Unit::Seconds),
    ]
}

fn gauge(name: &'static str, help: &'static str, series: Vec<Series>) -> MetricFamily {
    MetricFamily { name, help, unit: None, kind: MetricType::Gauge, series }
}

fn counter(name: &'static str, help: &'static str, series: Vec<Series>) -> MetricFamily {
    MetricFamily { kind: MetricType::Counter, ..gauge(name, help, series) }
}

impl MetricFamily {
    fn with_unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }
}

/// The single series of a family without labels.
fn one(value: u64) -> Vec<Series> {
    vec![(Vec::new(), value)]
}

fn some(value: Option<u64>) -> Vec<Series> {
    value.into_iter().flat_map(one).collect()
}

fn seconds(at: Timestamp) -> Option<u64> {
    u64::try_from(at.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::{prometheus_text, text},
        registry::Registry,
    };

    use super::*;

    #[test]
    fn no_label_ends_its_line_or_its_quotes() {
        let labels = vec![("file", "/etc/a\"b\\c\nd".to_owned())];
        let family = gauge("end_timestamp", "Help", vec![(labels, 7)]).with_unit(Unit::Seconds);
        let mut registry = Registry::with_prefix("aop");
        registry.register_collector(Box::new(Families(vec![family])));
        let (mut prometheus, mut openmetrics) = (String::new(), String::new());
        prometheus_text::encode(&mut prometheus, &registry).expect("text");
        text::encode(&mut openmetrics, &registry).expect("text");
        let line = "aop_end_timestamp_seconds{file=\"/etc/a\\\"b\\\\c\\nd\"} 7";
        for page in [prometheus, openmetrics] {
            assert!(page.lines().any(|it| it == line), "{page}");
        }
    }
}
