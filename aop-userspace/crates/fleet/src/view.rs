//! All hosts as an operator sees them: the worst first, with sums.

use std::collections::{BTreeMap, BTreeSet};

use aop_api::{
    FleetHost, FleetHostState, FleetModeSums, FleetReport, FleetSums, ModeName, OriginReport,
    OverviewState, duration_text,
};
use aop_config::{FleetName, FleetPrefix};
use jiff::Timestamp;

use crate::NamePattern;

/// A report that differs by more from the clock of the operator is told. A report is made every ten
/// seconds, and waits at most for a lease.
const CLOCK_SKEW: u64 = 90;

/// The content of etcd for a fleet: untrusted, of its form, with safe texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredFleet {
    reports: BTreeMap<FleetName, Result<OriginReport, UnclearReport>>,
    /// When each host has last reported, by its own clock.
    pub seen: BTreeMap<FleetName, Timestamp>,
    /// The names that further hosts claim.
    pub claimed: BTreeSet<FleetName>,
    /// Keys that are of no form of ours.
    pub unreadable: usize,
    /// Warnings about etcd itself.
    pub warnings: Vec<String>,
}

/// Why there is no report at the key of a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnclearReport {
    /// It is too long, or of no form of ours.
    #[error("its report cannot be read")]
    Unreadable,
    /// It has this name.
    #[error("its report is that of {0}")]
    OfAnother(String),
}

impl StoredFleet {
    /// Adds what is at the key of the host `name`; `None` if that cannot be read. A host may write
    /// any name into its report: one with another name than the key is not kept.
    pub fn add_report(&mut self, name: FleetName, report: Option<OriginReport>) {
        let report = match report {
            Some(report) if report.name == name.as_str() => Ok(report),
            Some(report) => Err(UnclearReport::OfAnother(report.name)),
            None => Err(UnclearReport::Unreadable),
        };
        self.reports.insert(name, report);
    }

    /// The reports, each with the name of its key.
    #[must_use]
    pub fn reports(&self) -> &BTreeMap<FleetName, Result<OriginReport, UnclearReport>> {
        &self.reports
    }

    /// The reports that count.
    pub fn certain_reports(&self) -> impl Iterator<Item = (&FleetName, &OriginReport)> {
        let reports = self.reports.iter();
        let certain = reports.filter_map(|(name, report)| Some((name, report.as_ref().ok()?)));
        certain.filter(|(name, _)| self.doubt(name).is_none())
    }

    /// Why what is at the key of `name` counts for nothing, if there is anything.
    #[must_use]
    pub fn doubt(&self, name: &FleetName) -> Option<String> {
        if let Err(unclear) = self.reports.get(name)? {
            return Some(unclear.to_string());
        }
        self.claimed.contains(name).then(|| {
            "another host claims this name: give one of them another fleet.name".to_owned()
        })
    }
}

/// The hosts to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Patterns of names; if empty, all.
    pub names: Vec<NamePattern>,
    /// Labels that a host must all have. A silent host has none.
    pub labels: BTreeMap<String, String>,
}

impl HostFilter {
    /// Whether a host is meant.
    #[must_use]
    pub fn matches(&self, name: &FleetName, report: Option<&OriginReport>) -> bool {
        let named = self.names.is_empty() || self.names.iter().any(|pattern| pattern.matches(name));
        let has = |(key, value): (&String, &String)| {
            report.is_some_and(|report| report.labels.get(key) == Some(value))
        };
        named && self.labels.iter().all(has)
    }
}

/// The report of the hosts that `filter` means, at the moment `at`.
#[must_use]
pub fn fleet_report(
    fleet: StoredFleet,
    filter: &HostFilter,
    prefix: &FleetPrefix,
    at: Timestamp,
) -> FleetReport {
    let doubts: BTreeMap<FleetName, String> =
        fleet.reports.keys().filter_map(|it| Some((it.clone(), fleet.doubt(it)?))).collect();
    let StoredFleet { reports, mut seen, claimed: _, unreadable: _, warnings } = fleet;
    let mut hosts = Vec::new();
    for (name, report) in reports {
        let last = seen.remove(&name);
        if filter.matches(&name, report.as_ref().ok()) {
            hosts.push(host(&name, report.ok(), last, doubts.get(&name), at));
        }
    }
    for (name, last) in seen {
        if filter.matches(&name, None) {
            hosts.push(silent(&name, last, at));
        }
    }
    hosts.sort_by(|one, other| (&one.state, &one.name).cmp(&(&other.state, &other.name)));
    FleetReport { at, prefix: prefix.to_string(), warnings, sums: sums(&hosts), hosts }
}

/// The part of `report` on the host of this name, with its sums.
#[must_use]
pub fn report_of_host(report: &FleetReport, name: &str) -> FleetReport {
    let hosts: Vec<_> = report.hosts.iter().filter(|host| host.name == name).cloned().collect();
    FleetReport {
        at: report.at,
        prefix: report.prefix.clone(),
        warnings: report.warnings.clone(),
        sums: sums(&hosts),
        hosts,
    }
}

fn host(
    name: &FleetName,
    report: Option<OriginReport>,
    seen: Option<Timestamp>,
    doubt: Option<&String>,
    at: Timestamp,
) -> FleetHost {
    let Some(report) = report else {
        return FleetHost {
            name: name.to_string(),
            state: FleetHostState::Unclear,
            last_seen: seen,
            reasons: doubt.cloned().into_iter().collect(),
            report: None,
        };
    };
    let mut state = match report.state {
        OverviewState::Ok => FleetHostState::Ok,
        OverviewState::Warning => FleetHostState::Warning,
        OverviewState::Critical => FleetHostState::Critical,
        OverviewState::Unknown(_) => FleetHostState::Unclear,
    };
    let mut reasons = report.failures.clone();
    if let Some(doubt) = doubt {
        state = state.min(FleetHostState::Unclear);
        reasons.push(doubt.clone());
    }
    let skew = report.at.duration_since(at).as_secs().unsigned_abs();
    if skew > CLOCK_SKEW {
        state = state.min(FleetHostState::Warning);
        let skew = duration_text(skew);
        reasons.push(format!("its clock and the one of this host are {skew} apart"));
    }
    reasons.extend(report.warnings.iter().cloned());
    if report.more_warnings > 0 {
        reasons.push(format!("{} more", report.more_warnings));
    }
    let last_seen = Some(report.at);
    FleetHost { name: name.to_string(), state, last_seen, reasons, report: Some(report) }
}

fn silent(name: &FleetName, last: Timestamp, at: Timestamp) -> FleetHost {
    let ago = at.duration_since(last).as_secs();
    let (is_past, seconds) = (ago >= 0, duration_text(ago.unsigned_abs()));
    let why = if is_past {
        format!("it last reported {seconds} ago")
    } else {
        format!(
            "its last report is of a time {seconds} ahead of the clock of this host: compare the \
             clocks"
        )
    };
    FleetHost {
        name: name.to_string(),
        state: FleetHostState::Silent,
        last_seen: Some(last),
        reasons: vec![why],
        report: None,
    }
}

fn sums(hosts: &[FleetHost]) -> FleetSums {
    let mut sums = FleetSums { hosts: hosts.len(), ..FleetSums::default() };
    let (mut lists, mut versions) = (BTreeSet::new(), BTreeSet::new());
    for host in hosts {
        match host.state {
            FleetHostState::Ok => sums.ok += 1,
            FleetHostState::Warning => sums.warning += 1,
            FleetHostState::Critical => sums.critical += 1,
            FleetHostState::Silent => sums.silent += 1,
            FleetHostState::Unclear | FleetHostState::Unknown(_) => sums.unclear += 1,
        }
        let Some(report) = &host.report else { continue };
        sums.pending += usize::from(report.pending.is_some());
        match report.mode {
            ModeName::Enforce => sums.packets.enforce += 1,
            ModeName::Observe | ModeName::Off | ModeName::Unknown(_) => sums.packets.observe += 1,
        }
        add(&mut sums.sites, report);
        lists.insert(&report.list.digest);
        versions.insert(&report.version);
    }
    (sums.lists, sums.versions) = (lists.len(), versions.len());
    sums
}

/// Adds the sites of a host. Its numbers are its own word.
fn add(sites: &mut FleetModeSums, report: &OriginReport) {
    let enforcing = report.sites_enforcing.min(report.sites_total);
    sites.enforce = sites.enforce.saturating_add(enforcing);
    sites.observe = sites.observe.saturating_add(report.sites_total - enforcing);
}
