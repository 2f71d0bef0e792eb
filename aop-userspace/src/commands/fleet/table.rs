//! The documents of a fleet as text, within 80 columns.

use std::collections::BTreeMap;

use aop_api::{
    FleetCertificate, FleetHost, FleetHostState, FleetIdentities, FleetReport, ModeName,
    OriginReport,
};
use aop_types::{escape_ascii, shorten};

use crate::output::{Colours, Tone, age, count, date, hanging, lines, when};

/// The width of the names of hosts.
const NAME: usize = 16;
/// The widths of the other columns together, with the spaces behind them.
const COLUMNS: usize = NAME + 1 + 8 + 1 + 7 + 1 + 7 + 1 + 6 + 1 + 10 + 1;
/// The most names of hosts in a line.
const MAX_NAMES: usize = 20;

/// The page of `aop fleet status`. `unreadable` counts keys that are not of a fleet.
pub(super) fn status(
    report: &FleetReport,
    unreadable: usize,
    colours: Colours,
    columns: usize,
) -> String {
    let warned = report.warnings.iter().map(|why| format!("! {}", escape_ascii(why)));
    let mut text: Vec<_> = warned.flat_map(|line| hanging("", "  ", &line, columns)).collect();
    text.extend(sums(report));
    if unreadable > 0 {
        text.push(format!("{} in etcd cannot be read, and are left out", count(unreadable, "key")));
    }
    if report.hosts.is_empty() {
        text.push("no host: none has reported, or none is meant by --host and --label".to_owned());
        return lines(text);
    }
    text.push(String::new());
    let head = ["HOST", "STATE", "PACKETS", "SITES", "LIST", "ENDS", "WHY"];
    text.push(colours.head(row(head.map(str::to_owned)).trim_end()));
    let mut text = lines(text);
    for host in &report.hosts {
        text.push_str(host_line(host, colours, columns).trim_end());
        text.push('\n');
    }
    if let [only] = report.hosts.as_slice() {
        text.push_str(&details(only, columns));
    }
    if report.sums.silent > 0 && report.warnings.is_empty() {
        text.push_str(
            "\nA host that is gone for good, or has another name: aop fleet forget NAME\n",
        );
    }
    text
}

fn sums(report: &FleetReport) -> Vec<String> {
    let sums = &report.sums;
    let states = [
        (sums.critical, "critical"),
        (sums.silent, "silent"),
        (sums.unclear, "unclear"),
        (sums.warning, "with warnings"),
        (sums.ok, "ok"),
    ];
    let states = states.into_iter().filter(|(number, _)| *number > 0);
    let states: Vec<_> = states.map(|(number, state)| format!("{number} {state}")).collect();
    let first = format!("fleet {}: {}", report.prefix, count(sums.hosts, "host"));
    let first = if states.is_empty() { first } else { format!("{first}: {}", states.join(", ")) };
    let mut text = vec![first];
    let reporting = sums.packets.enforce + sums.packets.observe;
    if reporting > 0 {
        text.push(format!(
            "packets: {} of {} enforce; sites: {} of {} enforce",
            sums.packets.enforce,
            count(reporting, "host"),
            sums.sites.enforce,
            // Its parts are the words of hosts.
            sums.sites.enforce.saturating_add(sums.sites.observe),
        ));
        let pending = match sums.pending {
            0 => String::new(),
            number => format!("; {} for a confirmation", waits(number)),
        };
        text.push(format!(
            "{} in force, {} of aop{pending}",
            count(sums.lists, "prefix list"),
            count(sums.versions, "version"),
        ));
    }
    text
}

fn waits(hosts: usize) -> String {
    if hosts == 1 { "1 host waits".to_owned() } else { format!("{hosts} hosts wait") }
}

fn row([name, state, mode, sites, list, ends, why]: [String; 7]) -> String {
    format!("{name:<NAME$} {state:<8} {mode:<7} {sites:<7} {list:<6} {ends:<10} {why}")
}

fn host_line(host: &FleetHost, colours: Colours, columns: usize) -> String {
    let name = cell(&host.name, NAME);
    let why = host.reasons.first().map(String::as_str).unwrap_or_default();
    let why = cell(why, columns.saturating_sub(COLUMNS).max(20));
    let [mode, sites, list, ends] = host.report.as_ref().map_or_else(Default::default, cells);
    let line = row([name, host.state.to_string(), mode, sites, list, ends, why]);
    let tone = match host.state {
        FleetHostState::Ok => return line,
        FleetHostState::Warning => Tone::Plain,
        FleetHostState::Critical
        | FleetHostState::Silent
        | FleetHostState::Unclear
        | FleetHostState::Unknown(_) => Tone::Bad,
    };
    colours.tone(tone, line.trim_end())
}

/// Mode, sites, list and next end.
fn cells(report: &OriginReport) -> [String; 4] {
    let mode = match (&report.mode, &report.pending) {
        (ModeName::Enforce, Some(_)) => "waits".to_owned(),
        (mode, _) => mode.to_string(),
    };
    let sites = format!("{}/{}", report.sites_enforcing, report.sites_total);
    let ends = report.ends.first().map(|end| date(end.not_after)).unwrap_or_default();
    [cell(&mode, 7), cell(&sites, 7), report.list.digest.chars().take(6).collect(), ends]
}

/// `text` in so many columns.
fn cell(text: &str, width: usize) -> String {
    let text = escape_ascii(text);
    // A text that is cut gets a further character.
    if text.chars().count() <= width { text } else { shorten(text, width - 1) }
}

/// The details for which the line of the only host has no room.
fn details(host: &FleetHost, columns: usize) -> String {
    let mut text = vec![String::new()];
    text.extend(host.reasons.iter().map(|why| format!("- {why}")));
    if let Some(report) = &host.report {
        let labels = report.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let labels: Vec<_> = labels.collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(" ") };
        text.push(format!("version {}; labels: {labels}", report.version));
        text.extend(report.pending.as_ref().map(|pending| format!("waits: {}", pending.line())));
        text.extend(report.interfaces.iter().map(|it| {
            let what = if it.enforcing { "enforces" } else { "does not enforce for every port" };
            format!("interface {}: {}, {what}", it.name, it.state)
        }));
        text.extend(report.sites.iter().map(|site| {
            let last = site.identities.first();
            let last = last.map_or("no certificate seen".to_owned(), |it| {
                format!("last certificate {} ago", age(it.last_seen))
            });
            format!("site {}: {}, {last}", site.site, site.mode)
        }));
        if report.more_sites > 0 {
            text.push(format!("{} more sites", report.more_sites));
        }
        let counts = [
            ("dropped", &report.dropped),
            ("would drop", &report.would_drop),
            ("refused", &report.refused),
            ("relayed without proof", &report.observed),
        ];
        for (what, sums) in counts.into_iter().filter(|(_, sums)| !sums.is_empty()) {
            let sums = sums.iter().map(|sum| format!("{} {}", sum.count, sum.reason));
            text.push(format!("{what}: {}", sums.collect::<Vec<_>>().join(", ")));
        }
    }
    let folded = text.iter().flat_map(|line| hanging("", "  ", line, columns));
    folded.map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The page of `aop fleet identities`.
pub(super) fn identities(found: &FleetIdentities) -> String {
    let mut text = Vec::new();
    let mut sites: BTreeMap<&str, Vec<&FleetCertificate>> = BTreeMap::new();
    for certificate in &found.certificates {
        sites.entry(&certificate.site).or_default().push(certificate);
    }
    if sites.is_empty() {
        text.push("no client certificate seen yet".to_owned());
    }
    for (site, certificates) in sites {
        text.push(format!("{site}: {}", count(certificates.len(), "certificate")));
        text.extend(certificates.into_iter().flat_map(certificate_lines));
    }
    if !found.silent.is_empty() {
        text.push(format!("silent, so not known: {}", names(&found.silent)));
    }
    if !found.unclear.is_empty() {
        text.push(format!(
            "unclear, so not known: {} (`aop fleet status --host NAME` says why)",
            names(&found.unclear)
        ));
    }
    if !found.incomplete.is_empty() {
        text.push(format!(
            "no room for all sites or certificates in the reports of {}: `aop identities` there \
             shows them",
            names(&found.incomplete)
        ));
    }
    lines(text)
}

fn certificate_lines(it: &FleetCertificate) -> Vec<String> {
    let serving = it.hosts.len() + it.missing.len();
    let mut text = vec![
        format!("  key {}; {}, valid until {}", it.spki_sha256, it.level, date(it.not_after)),
        format!(
            "    at {} of {}, {} pulls; first {}, last {} ago",
            it.hosts.len(),
            count(serving, "host"),
            it.pulls,
            when(it.first_seen),
            age(it.last_seen),
        ),
    ];
    if !it.missing.is_empty() {
        text.push(format!("    not at {}", names(&it.missing)));
    }
    text
}

fn names(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
