//! A fleet at a glance: what the page in the browser shows. It is short for ten thousand hosts too,
//! and each list in it is bounded.

use std::collections::{BTreeMap, HashMap};

use aop_api::{
    CertificateUse, FleetCell, FleetCertificate, FleetCertificateRow, FleetEnd, FleetHost,
    FleetIdentities, FleetOrderRow, FleetOrders, FleetOverview, FleetReport, FleetShare, Listed,
    OrderState, OriginReport, StoppedHost, StoredOrder, WaitingHost,
};
use aop_types::SafeText;
use jiff::Timestamp;

use crate::{hosts_in_words, request_in_words, whole_fleet::MOST_HOSTS};

/// The warning where not all orders were read.
pub const MORE_ORDERS: &str = "etcd has more orders than are read, so the newest ones are not known: \
     take the right to write orders from those who write so many, and delete theirs";
/// The most certificates.
const MOST_CERTIFICATES: usize = 200;
/// The most rows of another list, and the most names of hosts in a row.
const MOST_ROWS: usize = 12;
/// The most characters of a reason in the grid.
const MOST_REASON: usize = 100;
/// The most characters of another text.
const MOST_TEXT: usize = 256;

/// The page of `report` and of the rest of the same state of etcd: its certificates, its orders,
/// and the number of its `unreadable` keys.
#[must_use]
pub fn fleet_overview(
    report: &FleetReport,
    identities: FleetIdentities,
    orders: FleetOrders,
    unreadable: usize,
) -> FleetOverview {
    let reports = || report.hosts.iter().filter_map(|host| host.report.as_ref());
    let mut waiting: Vec<WaitingHost> = reports()
        .filter_map(|it| Some(WaitingHost { host: it.name.clone(), pending: it.pending.clone()? }))
        .collect();
    waiting.sort_by_key(|it| it.pending.until);
    let mut given: Vec<_> = orders.orders.into_iter().map(order_row).collect();
    given.reverse();
    let mut warnings = report.warnings.clone();
    if orders.more {
        warnings.push(MORE_ORDERS.to_owned());
    }
    FleetOverview {
        at: report.at,
        sums: report.sums.clone(),
        warnings,
        unreadable: unreadable + orders.unreadable,
        versions: shares(reports().map(|it| it.version.as_str())),
        lists: shares(reports().map(|it| it.list.digest.as_str())),
        hosts: Listed::first_of(report.hosts.iter().map(cell).collect(), MOST_HOSTS),
        certificates: Listed::first_of(
            certificate_rows(identities.certificates),
            MOST_CERTIFICATES,
        ),
        unclear: Listed::first_of(identities.unclear, MOST_ROWS),
        incomplete: Listed::first_of(identities.incomplete, MOST_ROWS),
        waiting: Listed::first_of(waiting, MOST_ROWS),
        orders: Listed::first_of(given, MOST_ROWS),
        ends: Listed::first_of(ends(reports()), MOST_ROWS),
    }
}

/// The certificates and lists that end next, each with the number of its hosts.
fn ends<'a>(reports: impl Iterator<Item = &'a OriginReport>) -> Vec<FleetEnd> {
    let mut hosts: BTreeMap<(Timestamp, &str, &str), usize> = BTreeMap::new();
    for end in reports.flat_map(|report| &report.ends) {
        *hosts.entry((end.not_after, &end.site, end.what.as_str())).or_default() += 1;
    }
    let end = |((not_after, site, what), hosts): ((Timestamp, &str, &str), usize)| FleetEnd {
        what: what.into(),
        site: site.to_owned(),
        not_after,
        hosts,
    };
    hosts.into_iter().map(end).collect()
}

/// The hosts by value, the most first.
fn shares<'a>(values: impl Iterator<Item = &'a str>) -> Listed<FleetShare> {
    let mut hosts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in values {
        *hosts.entry(value).or_default() += 1;
    }
    let share = |(value, hosts): (&str, usize)| FleetShare { value: value.to_owned(), hosts };
    let mut shares: Vec<_> = hosts.into_iter().map(share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.hosts));
    Listed::first_of(shares, MOST_ROWS)
}

fn cell(host: &FleetHost) -> FleetCell {
    let report = host.report.as_ref();
    FleetCell {
        name: host.name.clone(),
        state: host.state.clone(),
        mode: report.map(|report| report.mode.clone()),
        waits: report.is_some_and(|report| report.pending.is_some()),
        sites_observing: report
            .map(|report| report.sites_total.saturating_sub(report.sites_enforcing)),
        why: host.reasons.first().map(|why| SafeText::<MOST_REASON>::new(why).into_string()),
    }
}

/// The certificates with their places in a rollover. They come by site, the newest first.
fn certificate_rows(certificates: Vec<FleetCertificate>) -> Vec<FleetCertificateRow> {
    let mut rows = Vec::new();
    for of_site in certificates.chunk_by(|one, other| one.site == other.site) {
        let Some((newest, older)) = of_site.split_first() else { continue };
        rows.push(certificate_row(newest, CertificateUse::Newest, newest.hosts.len()));
        let arrived: HashMap<&str, _> =
            newest.hosts.iter().map(|it| (it.host.as_str(), it.first_seen)).collect();
        for old in older {
            let used = old.hosts.iter().filter(|it| {
                arrived.get(it.host.as_str()).is_none_or(|newest| it.last_seen >= *newest)
            });
            let used = used.count();
            let state = if used == 0 { CertificateUse::Gone } else { CertificateUse::InUse };
            rows.push(certificate_row(old, state, used));
        }
    }
    rows
}

fn certificate_row(
    it: &FleetCertificate,
    state: CertificateUse,
    used_at: usize,
) -> FleetCertificateRow {
    FleetCertificateRow {
        site: it.site.clone(),
        spki_sha256: it.spki_sha256.clone(),
        level: it.level.clone(),
        state,
        not_after: it.not_after,
        first_seen: it.first_seen,
        last_seen: it.last_seen,
        pulls: it.pulls,
        serving: it.hosts.len() + it.missing.len(),
        seen_at: it.hosts.len(),
        used_at,
        missing: Listed::first_of(it.missing.clone(), MOST_ROWS),
    }
}

fn order_row(stored: StoredOrder) -> FleetOrderRow {
    let StoredOrder { order, operator, genuine, hosts } = stored;
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for host in &hosts {
        *states.entry(host.state.as_str()).or_default() += 1;
    }
    let stopped = hosts.iter().filter_map(|host| match (&host.state, &host.error) {
        (_, Some(error)) => Some((host, error.clone())),
        (OrderState::TakenBack, None) => Some((host, "it went back".to_owned())),
        _ => None,
    });
    let stopped = stopped.map(|(host, why)| StoppedHost { host: host.host.clone(), why });
    // Anybody who can write to etcd may have written it.
    FleetOrderRow {
        serial: order.serial,
        request: safe(&request_in_words(&order.request)),
        hosts: safe(&hosts_in_words(&order.hosts)),
        issued: order.issued,
        expires: order.expires,
        operator,
        genuine,
        states: states
            .iter()
            .map(|(value, hosts)| FleetShare { value: (*value).to_owned(), hosts: *hosts })
            .collect(),
        stopped: Listed::first_of(stopped.collect(), MOST_ROWS),
    }
}

fn safe(text: &str) -> String {
    SafeText::<MOST_TEXT>::new(text).into_string()
}
