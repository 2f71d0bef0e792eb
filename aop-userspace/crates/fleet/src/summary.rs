//! The report of this host: its status, summed up and bounded. Further entries are counted.

use std::collections::BTreeMap;

use aop_api::{
    ActionName, Expiry, ModeName, OrderResult, OriginReport, Overview, PacketSum, PendingMode,
    ReasonSum, ReportedIdentity, ReportedInterface, ReportedList, ReportedSite, SeenIdentity,
    Status,
};
use aop_config::{FleetLabels, FleetName};
use aop_sandbox::channel::encoded_len;
use aop_types::SafeText;
use jiff::Timestamp;

use crate::MAX_REPORT;

/// The most characters of a text.
const MAX_TEXT: usize = 160;
/// The most failures, and the most warnings.
const MAX_WARNINGS: usize = 4;
/// The most interfaces, and the most modes of ports and interfaces.
const MAX_INTERFACES: usize = 12;
/// The most names in a pending override.
const MAX_PENDING: usize = 8;
/// The most reasons of each counter, the largest ones.
const MAX_REASONS: usize = 12;
/// The most expiries.
const MAX_ENDS: usize = 3;
/// The most certificates of a site.
const MAX_IDENTITIES: usize = 4;

/// The facts that a report is made of.
#[derive(Debug)]
pub struct ReportFacts<'a> {
    /// The name of the host in the fleet.
    pub name: &'a FleetName,
    /// Its random number.
    pub instance: &'a str,
    /// Its labels.
    pub labels: &'a FleetLabels,
    /// The names of its sites, in the order of the configuration.
    pub sites: &'a [String],
    /// The digest of the prefix list in force.
    pub list_digest: String,
    /// The last orders that it took.
    pub orders: Vec<OrderResult>,
    /// Says so if aop drains.
    pub draining: Option<&'a str>,
    /// The moment.
    pub at: Timestamp,
}

/// The report of a host with this status; at most [`MAX_REPORT`] bytes of JSON.
#[must_use]
pub fn host_report(status: Status, facts: &ReportFacts<'_>) -> OriginReport {
    let sites = sites(&status, facts.sites);
    let modes = status.modes.lines();
    let list = reported_list(&status, facts.list_digest.clone());
    let Overview {
        version,
        state,
        obstacles,
        warnings,
        daemon,
        mode,
        pending,
        openings,
        interfaces,
        packets,
        accepted,
        refused,
        observed,
        ends,
        ..
    } = Overview::of(status, Vec::new(), facts.draining, facts.name.as_str(), facts.at);
    let all_warnings = obstacles.total + warnings.total;
    let (failures, warnings) = (short_all(obstacles.rows), short_all(warnings.rows));
    let with = |action: ActionName| {
        let sums = packets.iter().filter(|sum| sum.action == action);
        largest(sums.map(packet_sum).collect())
    };
    let total = interfaces.total;
    let interfaces: Vec<_> = interfaces.rows.into_iter().take(MAX_INTERFACES).collect();
    let enforcing = |site: &&ReportedSite| site.mode == ModeName::Enforce;
    let mut report = OriginReport {
        name: facts.name.to_string(),
        instance: facts.instance.to_owned(),
        version,
        at: facts.at,
        uptime_seconds: daemon.map_or(0, |daemon| daemon.uptime_seconds),
        labels: facts.labels.as_map().clone(),
        state,
        more_warnings: all_warnings - failures.len() - warnings.len(),
        failures,
        warnings,
        mode,
        overrides: modes.iter().take(MAX_INTERFACES).map(|line| short(line)).collect(),
        pending: pending.map(bounded_pending),
        orders: facts.orders.iter().cloned().map(bounded_order).collect(),
        openings: openings.total,
        more_interfaces: total - interfaces.len(),
        interfaces: interfaces.into_iter().map(reported_interface).collect(),
        list,
        sites_total: sites.len(),
        sites_enforcing: sites.iter().filter(enforcing).count(),
        sites: Vec::new(),
        more_sites: 0,
        accepted,
        refused: largest(refused),
        observed: largest(observed),
        dropped: with(ActionName::Drop),
        would_drop: with(ActionName::WouldDrop),
        ends: ends.rows.into_iter().take(MAX_ENDS).map(bounded_expiry).collect(),
    };
    add_sites(&mut report, sites);
    report
}

/// Adds as many of the sites as fit.
fn add_sites(report: &mut OriginReport, sites: Vec<ReportedSite>) {
    // The count of those that do not fit takes some bytes, too.
    report.more_sites = sites.len();
    let mut left = MAX_REPORT.saturating_sub(encoded_len(report));
    report.more_sites = 0;
    for site in sites {
        // And a comma.
        let length = encoded_len(&site) + 1;
        if report.more_sites == 0 && length <= left {
            left -= length;
            report.sites.push(site);
        } else {
            report.more_sites += 1;
        }
    }
}

/// The sites with the certificates that they have seen, the last first.
fn sites(status: &Status, names: &[String]) -> Vec<ReportedSite> {
    let mut seen: BTreeMap<&str, Vec<&SeenIdentity>> = BTreeMap::new();
    for identity in &status.identities {
        seen.entry(&identity.site).or_default().push(identity);
    }
    let modes: BTreeMap<&str, &ModeName> =
        status.modes.sites.iter().map(|site| (site.site.as_str(), &site.mode)).collect();
    let site = |name: &String| {
        let mut identities = seen.remove(name.as_str()).unwrap_or_default();
        identities.sort_by_key(|identity| std::cmp::Reverse(identity.last_seen));
        ReportedSite {
            site: short(name),
            mode: modes.get(name.as_str()).map_or(ModeName::Enforce, |mode| (*mode).clone()),
            more_identities: identities.len().saturating_sub(MAX_IDENTITIES),
            identities: identities.into_iter().take(MAX_IDENTITIES).map(reported).collect(),
        }
    };
    names.iter().map(site).collect()
}

fn reported(identity: &SeenIdentity) -> ReportedIdentity {
    ReportedIdentity {
        spki_sha256: short(&identity.spki_sha256),
        serial: short(&identity.serial),
        level: identity.level.clone(),
        first_seen: identity.first_seen,
        last_seen: identity.last_seen,
        pulls: identity.pulls,
        not_after: identity.not_after,
    }
}

fn reported_list(status: &Status, digest: String) -> ReportedList {
    let list = &status.prefixes;
    ReportedList {
        source: list.source.as_deref().map(short),
        origin: list.origin.clone(),
        generation: list.generation,
        digest,
        v4: list.v4,
        v6: list.v6,
        age_seconds: list.age_seconds,
        last_error: list.last_error.as_deref().map(short),
    }
}

fn reported_interface(interface: aop_api::InterfaceStatus) -> ReportedInterface {
    let aop_api::InterfaceStatus { name, attach, state, attached: _, enforcing } = interface;
    ReportedInterface { name: short(&name), attach, state, enforcing }
}

fn bounded_order(order: OrderResult) -> OrderResult {
    OrderResult { error: order.error.map(|error| short(&error)), ..order }
}

fn bounded_pending(mut pending: PendingMode) -> PendingMode {
    pending.ports.truncate(MAX_PENDING);
    for names in [&mut pending.interfaces, &mut pending.sites] {
        names.truncate(MAX_PENDING);
        names.iter_mut().for_each(|name| *name = short(name));
    }
    pending.reverts_to = short(&pending.reverts_to);
    pending
}

fn bounded_expiry(expiry: Expiry) -> Expiry {
    let Expiry { what, site, subject, file, not_after } = expiry;
    Expiry { what, site: short(&site), subject: short(&subject), file: short(&file), not_after }
}

fn packet_sum(sum: &PacketSum) -> ReasonSum {
    ReasonSum { reason: sum.reason.clone(), count: sum.packets }
}

/// The reasons with the largest counts.
fn largest(mut sums: Vec<ReasonSum>) -> Vec<ReasonSum> {
    sums.sort_by_key(|sum| std::cmp::Reverse(sum.count));
    sums.truncate(MAX_REASONS);
    sums
}

fn short_all(texts: Vec<String>) -> Vec<String> {
    texts.iter().take(MAX_WARNINGS).map(|text| short(text)).collect()
}

fn short(text: &str) -> String {
    SafeText::<MAX_TEXT>::new(text).into_string()
}
