//! Which client certificate arrives where, and where it does not yet.

use std::collections::{BTreeMap, BTreeSet};

use aop_api::{FleetCertificate, FleetIdentities, HostPulls, OriginReport, ReportedIdentity};
use aop_config::FleetName;
use jiff::Timestamp;

use crate::{HostFilter, StoredFleet};

/// The certificates on the hosts that `filter` means, of one site or of all, at the moment `at`.
#[must_use]
pub fn fleet_identities(
    fleet: &StoredFleet,
    filter: &HostFilter,
    site: Option<&str>,
    at: Timestamp,
) -> FleetIdentities {
    let meant: Vec<(&FleetName, &OriginReport)> = fleet
        .certain_reports()
        .filter(|(name, report)| filter.matches(name, Some(report)))
        .collect();
    let mut serving: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut found: BTreeMap<(&str, &str), FleetCertificate> = BTreeMap::new();
    for (name, report) in &meant {
        for reported in report.sites.iter().filter(|it| site.is_none_or(|site| it.site == site)) {
            serving.entry(&reported.site).or_default().push(name.as_str());
            for identity in &reported.identities {
                let certificate = found
                    .entry((&reported.site, &identity.spki_sha256))
                    .or_insert_with(|| certificate(&reported.site, identity));
                add(certificate, name.as_str(), identity);
            }
        }
    }
    let mut certificates: Vec<_> = found.into_values().collect();
    for certificate in &mut certificates {
        let hosts = serving.get(certificate.site.as_str()).into_iter().flatten();
        let seen: BTreeSet<&str> = certificate.hosts.iter().map(|it| it.host.as_str()).collect();
        certificate.missing =
            hosts.filter(|host| !seen.contains(*host)).map(|host| (*host).to_owned()).collect();
    }
    certificates
        .sort_by(|one, other| (&one.site, other.first_seen).cmp(&(&other.site, one.first_seen)));
    let silent = fleet.seen.keys().filter(|name| !fleet.reports().contains_key(*name));
    let silent = silent.filter(|name| filter.matches(name, None));
    let unclear = fleet.reports().iter().filter(|(name, report)| {
        filter.matches(name, report.as_ref().ok()) && fleet.doubt(name).is_some()
    });
    let cut = meant.iter().filter(|(_, report)| {
        report.more_sites > 0 || report.sites.iter().any(|it| it.more_identities > 0)
    });
    FleetIdentities {
        at,
        certificates,
        silent: silent.map(ToString::to_string).collect(),
        unclear: unclear.map(|(name, _)| name.to_string()).collect(),
        incomplete: cut.map(|(name, _)| name.to_string()).collect(),
    }
}

fn certificate(site: &str, identity: &ReportedIdentity) -> FleetCertificate {
    FleetCertificate {
        site: site.to_owned(),
        spki_sha256: identity.spki_sha256.clone(),
        level: identity.level.clone(),
        not_after: identity.not_after,
        first_seen: identity.first_seen,
        last_seen: identity.last_seen,
        pulls: 0,
        hosts: Vec::new(),
        missing: Vec::new(),
    }
}

fn add(certificate: &mut FleetCertificate, host: &str, identity: &ReportedIdentity) {
    certificate.first_seen = certificate.first_seen.min(identity.first_seen);
    certificate.last_seen = certificate.last_seen.max(identity.last_seen);
    certificate.pulls = certificate.pulls.saturating_add(identity.pulls);
    certificate.hosts.push(HostPulls {
        host: host.to_owned(),
        first_seen: identity.first_seen,
        last_seen: identity.last_seen,
        pulls: identity.pulls,
    });
}
