//! Families of the terminator and its sites, and the expiry of their files.

use std::collections::{BTreeMap, BTreeSet};

use aop_api::{OpenRequestsReport, RefusalCount, Status};
use aop_tls::FileExpiry;
use prometheus_client::registry::Unit;

use super::{
    super::label_bounds::{MOST, OTHER, SiteLabels, by_reason},
    MetricFamily, Series, counter, gauge, one, some,
};
use crate::metrics_snapshot::{FirewallHealth, MetricsSnapshot};

pub(super) fn families(snapshot: &MetricsSnapshot) -> Vec<MetricFamily> {
    let (status, sites) = (&snapshot.status, SiteLabels::of(&snapshot.sites));
    let up = status.terminator.as_ref().map(|it| it.answers);
    let mut all = vec![
        gauge(
            "terminator_up",
            "Whether the terminator process answers; if not, its families are missing",
            some(up.map(u64::from)),
        ),
        expiries(&snapshot.terms),
        observing(status, &sites),
    ];
    if up == Some(true) {
        all.extend(counts(status, &sites));
        all.extend(upstreams(status, &sites));
        all.push(identities(status, &sites));
        if snapshot.firewall == FirewallHealth::Off {
            let help =
                "Peers in memory, where the firewall is off; its map cannot be counted cheaply";
            all.push(gauge("peers", help, one(status.peers_total as u64)));
        }
    }
    all
}

fn counts(status: &Status, sites: &SiteLabels<'_>) -> Vec<MetricFamily> {
    let (handshakes, requests) = (&status.handshakes, &status.requests);
    let refused = |refused: &[RefusalCount]| -> Vec<Series> {
        let counts = refused.iter().map(|it| (it.site.as_str(), it.reason.as_str(), it.count));
        let sums = by_reason(sites, counts).into_iter();
        sums.map(|((site, reason), sum)| (vec![("site", site), ("reason", reason)], sum)).collect()
    };
    let connections = status.daemon.as_ref().map(|daemon| daemon.open_connections);
    let open = |name: &'static str, help: &'static str, of: fn(&OpenRequestsReport) -> usize| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for site in &requests.open {
            *sums.entry(sites.label(&site.site)).or_default() += of(site) as u64;
        }
        let series = sums.into_iter().map(|(site, open)| (vec![("site", site.to_owned())], open));
        gauge(name, help, series.collect())
    };
    vec![
        gauge("open_connections", "Open connections, handshakes included", some(connections)),
        counter(
            "handshakes_accepted",
            "Authenticated connections that were relayed",
            one(handshakes.accepted),
        ),
        counter("handshakes_refused", "Refused connections", refused(&handshakes.refused)),
        counter(
            "handshakes_refused_from_admitted",
            "Those of them that came from admitted addresses",
            refused(&handshakes.refused_from_admitted),
        ),
        counter(
            "handshakes_would_refuse",
            "Connections from addresses that enforcing would have refused",
            one(handshakes.would_refuse),
        ),
        counter(
            "handshakes_observed",
            "Connections that were relayed only because their site observes",
            refused(&handshakes.observed),
        ),
        counter(
            "handshakes_observed_from_admitted",
            "Those of them that came from admitted addresses",
            refused(&handshakes.observed_from_admitted),
        ),
        counter(
            "requests_relayed",
            "Requests that got a whole response of an upstream, or a tunnel",
            one(requests.relayed),
        ),
        counter("requests_refused", "All other requests", refused(&requests.refused)),
        counter(
            "http2_connections_retired",
            "HTTP/2 connections that exceeded a rate; the reason is the limit",
            refused(&requests.retired),
        ),
        open("requests_open", "Requests that are open at an upstream", |it| it.requests.open),
        open("tunnels_open", "WebSockets and event streams that are open", |it| it.tunnels.open),
    ]
}

/// The label `other` stands for 1 or more observing sites.
fn observing(status: &Status, sites: &SiteLabels<'_>) -> MetricFamily {
    let observe = status.modes.sites.iter().filter(|site| site.mode == aop_api::ModeName::Observe);
    let labels: BTreeSet<&str> = observe.map(|site| sites.label(&site.site)).collect();
    let series = labels.into_iter().map(|site| (vec![("site", site.to_owned())], 1));
    gauge(
        "site_observing",
        "1 for each site that observes, and so relays every peer",
        series.collect(),
    )
}

fn upstreams(status: &Status, sites: &SiteLabels<'_>) -> Option<MetricFamily> {
    let mut up: BTreeMap<&str, bool> = BTreeMap::new();
    for upstream in &status.upstreams {
        if let Some(good) = upstream.good {
            *up.entry(sites.label(&upstream.site)).or_insert(true) &= good;
        }
    }
    let series = up.into_iter().map(|(site, up)| (vec![("site", site.to_owned())], up.into()));
    let help =
        "Whether the upstream of a site passes its upstream_check; for other, whether all do";
    (!status.upstreams.is_empty()).then(|| gauge("upstream_up", help, series.collect()))
}

fn identities(status: &Status, sites: &SiteLabels<'_>) -> MetricFamily {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for identity in &status.identities {
        *seen.entry(sites.label(&identity.site)).or_default() += 1;
    }
    let series = seen.into_iter().map(|(site, count)| (vec![("site", site.to_owned())], count));
    gauge("identities", "Client certificates on record", series.collect())
}

/// For each file, the first expiry in it. Files beyond the bound share one series with the first
/// expiry of all.
fn expiries(terms: &[FileExpiry]) -> MetricFamily {
    let mut ends: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for term in terms {
        let own = (term.kind(), term.file());
        let key = if ends.len() < MOST || ends.contains_key(&own) { own } else { (own.0, OTHER) };
        let end = ends.entry(key).or_insert(u64::MAX);
        *end = term.not_after().min(*end);
    }
    let labels = |(kind, file): (&str, &str)| vec![("kind", kind.into()), ("file", file.into())];
    gauge(
        "not_after_timestamp",
        "First expiry in the file, of a server_certificate, client_ca, crl, fleet_certificate or fleet_ca",
        ends.into_iter().map(|(key, end)| (labels(key), end)).collect(),
    )
    .with_unit(Unit::Seconds)
}
