//! The certificates that the other hosts of a fleet have seen, for a roll that waits for them.

use std::time::Duration;

use aop_api::{OriginReport, ReportedIdentity, SeenIdentities, SeenIdentity, SiteIdentities};
use aop_cloudflare::RollReport;
use aop_config::{FleetConfig, FleetName};
use aop_fleet::{LEASE, StoredFleet, own_name};
use jiff::Timestamp;

use crate::commands::fleet;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The reports of all other hosts that serve `site`. One that may not be of its host counts for
/// nothing.
pub(super) fn reports(config: &FleetConfig, site: &str) -> anyhow::Result<Vec<RollReport>> {
    let own = own_name(config).map_err(anyhow::Error::msg)?;
    let stored = fleet::connect_to(config)?.hosts()?;
    Ok(of_others(&stored, &own, site, Timestamp::now()))
}

/// The number of hosts that got a pull for `site` in the last day, this one among them: a renewal
/// waits for them.
pub(super) fn hosts_with_pulls(config: &FleetConfig, site: &str) -> anyhow::Result<u32> {
    let since = Timestamp::now() - DAY;
    let has_pulls = |report: &RollReport| {
        let mut seen = report.seen.sites.iter().flat_map(|site| &site.identities);
        seen.any(|it| it.last_seen >= since)
    };
    let others = reports(config, site)?.iter().filter(|it| has_pulls(it)).count();
    Ok(1 + u32::try_from(others)?)
}

fn of_others(
    stored: &StoredFleet,
    own: &FleetName,
    site: &str,
    read_at: Timestamp,
) -> Vec<RollReport> {
    let others = stored.certain_reports().filter(|(name, _)| *name != own);
    others.filter_map(|(name, report)| of_host(name, report, site, read_at)).collect()
}

fn of_host(
    name: &FleetName,
    report: &OriginReport,
    site: &str,
    read_at: Timestamp,
) -> Option<RollReport> {
    let reported = report.sites.iter().find(|it| it.site == site)?;
    let identities = reported.identities.iter().map(|it| seen(it, site)).collect();
    let of_site = SiteIdentities { site: site.to_owned(), identities, forgotten: 0 };
    Some(RollReport {
        host: name.to_string(),
        // The clock of the host may be ahead of the one here, and its report as old as its lease.
        at: report.at.min(read_at - LEASE),
        seen: SeenIdentities { sites: vec![of_site] },
    })
}

/// A report has no room for subjects and issuers; a roll compares serial numbers and keys.
fn seen(reported: &ReportedIdentity, site: &str) -> SeenIdentity {
    let ReportedIdentity { spki_sha256, serial, level, first_seen, last_seen, pulls, not_after } =
        reported.clone();
    SeenIdentity {
        site: site.to_owned(),
        subject: String::new(),
        issuer: String::new(),
        spki_sha256,
        serial,
        not_before: first_seen,
        not_after,
        level,
        client_ca: None,
        first_seen,
        last_seen,
        pulls,
        roll: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(name: &str, at: &str) -> OriginReport {
        let seen = json!({
            "spki_sha256": "ab", "serial": "17", "level": "own", "pulls": 3,
            "first_seen": at, "last_seen": at, "not_after": "2027-02-28T00:00:00Z",
        });
        let report = json!({
            "name": name, "instance": "1", "version": "0.1.0", "at": at, "uptime_seconds": 9,
            "state": "ok", "mode": "enforce", "interfaces": [], "accepted": 3,
            "list": {"source": null, "origin": null, "generation": 1, "digest": "", "v4": 1,
                     "v6": 1, "age_seconds": null},
            "sites_total": 1, "sites_enforcing": 1,
            "sites": [{"site": "example.com", "mode": "enforce", "identities": [seen]}],
        });
        serde_json::from_value(report).expect("a report")
    }

    #[test]
    fn other_hosts_that_serve_the_site_count_by_a_moment_that_is_not_too_late() {
        let name = |text: &str| text.parse::<FleetName>().expect("a name");
        let mut stored = StoredFleet::default();
        for (host, at) in [
            ("here", "2026-11-30T12:00:00Z"),
            ("late", "2026-11-30T11:50:00Z"),
            ("ahead", "2026-11-30T12:05:00Z"),
        ] {
            stored.add_report(name(host), Some(report(host, at)));
        }
        stored.add_report(name("unreadable"), None);
        // None of these may be that of a host at which the certificate has arrived.
        stored.add_report(name("false"), Some(report("late", "2026-11-30T12:00:00Z")));
        stored.add_report(name("claimed"), Some(report("claimed", "2026-11-30T12:00:00Z")));
        stored.claimed.insert(name("claimed"));
        let read_at: Timestamp = "2026-11-30T12:00:00Z".parse().expect("a time");
        let others = of_others(&stored, &name("here"), "example.com", read_at);
        let moments: Vec<_> = others.iter().map(|it| (&*it.host, it.at.to_string())).collect();
        assert_eq!(
            moments,
            [
                ("ahead", "2026-11-30T11:59:20Z".to_owned()),
                ("late", "2026-11-30T11:50:00Z".to_owned())
            ]
        );
        let seen = &others[0].seen.sites[0].identities[0];
        assert_eq!((&*seen.serial, &*seen.spki_sha256, seen.pulls), ("17", "ab", 3));
        assert_eq!(of_others(&stored, &name("here"), "other.example", read_at), []);
    }
}
