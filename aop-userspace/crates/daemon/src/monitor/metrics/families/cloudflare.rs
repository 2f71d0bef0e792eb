//! Families of the own certificates at Cloudflare.

use std::collections::BTreeMap;

use aop_api::OwnCertificate;
use prometheus_client::registry::Unit;

use super::{super::label_bounds::SiteLabels, MetricFamily, Series, gauge, seconds};
use crate::metrics_snapshot::MetricsSnapshot;

pub(super) fn families(snapshot: &MetricsSnapshot) -> [MetricFamily; 4] {
    let sites = SiteLabels::of(&snapshot.sites);
    let own = &snapshot.status.cloudflare;
    // For `other`, the first expiry, and 1 if it is so of any.
    let each = |value: fn(&OwnCertificate) -> Option<u64>, worse: fn(u64, u64) -> u64| {
        let mut series: BTreeMap<&str, u64> = BTreeMap::new();
        for one in own {
            let Some(value) = value(one) else { continue };
            let known = series.entry(sites.label(&one.site)).or_insert(value);
            *known = worse(*known, value);
        }
        let series = series.into_iter();
        series
            .map(|(site, value)| (vec![("site", site.to_owned())], value))
            .collect::<Vec<Series>>()
    };
    [
        gauge(
            "cloudflare_certificate_expiry_timestamp",
            "Expiry of the own certificate at Cloudflare that is in use",
            each(|it| it.ends.and_then(seconds), u64::min),
        )
        .with_unit(Unit::Seconds),
        gauge(
            "cloudflare_roll_in_progress",
            "Whether a roll of that certificate is in progress",
            each(|it| Some(it.step.is_some().into()), u64::max),
        ),
        gauge(
            "cloudflare_roll_failing",
            "Whether the last attempt to renew or roll it failed",
            each(|it| Some(it.last_error.is_some().into()), u64::max),
        ),
        gauge(
            "cloudflare_roll_failing_since_timestamp",
            "Since when no such attempt has succeeded",
            each(|it| it.failing_since.and_then(seconds), u64::min),
        )
        .with_unit(Unit::Seconds),
    ]
}

#[cfg(test)]
mod tests {
    use aop_api::{PresentedLevel, Status, timestamp};
    use prometheus_client::{encoding::prometheus_text, registry::Registry};

    use super::{super::Families, *};
    use crate::metrics_snapshot::FirewallHealth;

    #[test]
    fn each_site_has_its_expiry_and_its_failure_and_unknown_figures_are_missing() {
        let own = |site: &str, ends: Option<u64>, failing: Option<u64>| OwnCertificate {
            site: site.into(),
            level: Some(PresentedLevel::Zone),
            ends: ends.map(timestamp),
            days_left: None,
            step: failing.map(|_| "made".into()),
            waits_for: None,
            last_error: failing.map(|_| "no token".into()),
            failed_at: failing.map(timestamp),
            failing_since: failing.map(timestamp),
        };
        let cloudflare = vec![own("a.test", Some(9_000), None), own("b.test", None, Some(70))];
        let snapshot = MetricsSnapshot {
            status: Status { cloudflare, ..Status::nothing() },
            sites: vec!["a.test".into(), "b.test".into()],
            firewall: FirewallHealth::Off,
            lost: None,
            terms: Vec::new(),
            confirmed: None,
            refused: None,
            refresh: None,
        };
        let mut registry = Registry::with_prefix("aop");
        registry.register_collector(Box::new(Families(families(&snapshot).into())));
        let mut page = String::new();
        prometheus_text::encode(&mut page, &registry).expect("text");
        let mut series: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        series.sort_unstable();
        assert_eq!(
            series,
            [
                "aop_cloudflare_certificate_expiry_timestamp_seconds{site=\"a.test\"} 9000",
                "aop_cloudflare_roll_failing_since_timestamp_seconds{site=\"b.test\"} 70",
                "aop_cloudflare_roll_failing{site=\"a.test\"} 0",
                "aop_cloudflare_roll_failing{site=\"b.test\"} 1",
                "aop_cloudflare_roll_in_progress{site=\"a.test\"} 0",
                "aop_cloudflare_roll_in_progress{site=\"b.test\"} 1",
            ]
        );
    }
}
