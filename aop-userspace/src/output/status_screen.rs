//! The status on one screen: the verdict, the guarded interfaces, the next expiry, refusals and
//! peers; then the warnings, and the verdict again. A typical status has 24 lines of 80 columns.

mod sections;

use aop_api::{
    Expiry, FleetLink, FleetLinkState, Health, HealthLevel, ListOriginName, OwnCertificate,
    Predecessor, PrefixStatus, ReloadOutcome, ReloadedBy, SandboxReport, SiteMode, Status,
    TerminatorReport, moment_text, until_text,
};
use jiff::{SignedDuration, Timestamp};

use super::{
    Colours, StateText, Tone, age, confirmed, count, distance, fold::fold, headline, headline_mode,
    interface_state, when,
};

/// In seconds: an expiry within this time is shown in addition to the next one.
const SOON: i64 = 90 * 86_400;

/// The status in lines of at most `columns`. The verdict is in the first and in the last line, and
/// the warnings are above the last one, where a terminal still shows them.
pub(crate) fn render_status(status: &Status, colours: Colours, columns: usize) -> String {
    let health = status.health(Timestamp::now());
    let mut lines = vec![first_line(status, &health, colours)];
    lines.extend(interfaces(status, colours));
    lines.extend(modes(status));
    lines.extend(prefix_lines(&status.prefixes));
    lines.extend(expiries(&status.ends, Timestamp::now(), colours));
    lines.extend(own_certificates(&status.cloudflare, Timestamp::now(), colours));
    lines.extend(status.fleet.as_ref().map(|link| fleet(link, colours)));
    lines.extend(last_reload(status, colours));
    lines.extend(last_crash(status));
    lines.extend(predecessors(status));
    lines.extend(terminator(status, colours));
    lines.push(String::new());
    lines.extend(sections::all(status, colours));
    lines.push(String::new());
    let warnings = health.warnings().iter();
    lines.extend(warnings.map(|warning| format!("{} {warning}", colours.bad("!"))));
    lines.push(last_line(&health, colours));
    super::lines(lines.iter().flat_map(|line| fold(line, columns)))
}

/// The status in one line, as plugins of Nagios print it: without `|`, which begins their figures.
pub(crate) fn check_line(status: &Status, health: &Health) -> String {
    let more = match health.warnings() {
        [] => String::new(),
        [only] => format!("; {only}"),
        [first, others @ ..] => format!("; {first} (and {} more: `aop status`)", others.len()),
    };
    let reasons = match health.failures() {
        [] => headline(status),
        failures => failures.join("; "),
    };
    format!("AOP {} - {reasons}{more}", health.level().name()).replace(['|', '\n'], " ")
}

fn first_line(status: &Status, health: &Health, colours: Colours) -> String {
    let (mode, tone) = headline_mode(status);
    let text = headline(status);
    let rest = text.strip_prefix(&mode).unwrap_or_default();
    let mode = colours.tone(tone, &mode);
    format!("aop {}: {}: {mode}{rest}", status.version, level(health, colours))
}

fn last_line(health: &Health, colours: Colours) -> String {
    let mut reasons = health.failures().to_vec();
    reasons.extend(match health.warnings().len() {
        0 => None,
        warnings => Some(format!("{} above", count(warnings, "warning"))),
    });
    if reasons.is_empty() {
        reasons.push("nothing to do".to_owned());
    }
    format!("{}: {}", level(health, colours), reasons.join("; "))
}

fn level(health: &Health, colours: Colours) -> String {
    let tone = match health.level() {
        HealthLevel::Ok => Tone::Good,
        HealthLevel::Warning | HealthLevel::Critical => Tone::Bad,
    };
    colours.tone(tone, health.level().name())
}

/// A recent crash is among the warnings.
fn last_crash(status: &Status) -> Option<String> {
    let now = Timestamp::now();
    status.last_crash.as_ref().filter(|crash| !crash.is_recent(now)).map(|crash| crash.line(now))
}

fn terminator(status: &Status, colours: Colours) -> Option<String> {
    let TerminatorReport { pid, user, answers, confinement } = status.terminator.as_ref()?;
    let silent = if *answers { String::new() } else { format!(", {}", colours.bad("NO ANSWER")) };
    let SandboxReport { landlock, seccomp } = confinement;
    Some(format!(
        "terminator: process {pid}, user {user}, Landlock {landlock}, seccomp {seccomp}{silent}"
    ))
}

fn predecessors(status: &Status) -> impl Iterator<Item = String> {
    status.predecessors.iter().map(|Predecessor { pid, version, connections, until }| {
        let until = until_text(*until, Timestamp::now());
        let open = match connections {
            Some(open) => format!("{open} connections open"),
            None => "open connections unknown".to_owned(),
        };
        format!("draining: process {pid} (aop {version}), {open}, {until} at most")
    })
}

fn last_reload(status: &Status, colours: Colours) -> Option<String> {
    let reloaded = status.last_reload.as_ref()?;
    let by = match reloaded.by {
        ReloadedBy::Signal => "SIGHUP",
        ReloadedBy::Command => "`aop reload`",
        ReloadedBy::Files => "changed files",
        ReloadedBy::Configuration => "a changed configuration",
        ReloadedBy::Unknown => "another cause",
    };
    let outcome = match reloaded.outcome {
        ReloadOutcome::Applied => "applied".to_owned(),
        ReloadOutcome::Unknown => "of another version of aop".to_owned(),
        ReloadOutcome::ChangedBack => "refused; the files were changed back since".to_owned(),
        // The reason is among the warnings.
        ReloadOutcome::Refused => colours.bad("REFUSED"),
    };
    Some(format!("last reload: {}, by {by}: {outcome}", when(reloaded.at)))
}

fn interfaces(status: &Status, colours: Colours) -> impl Iterator<Item = String> {
    let guarded = status.interfaces.iter().map(move |interface| {
        let StateText { text, tone } = interface_state(status, interface);
        let attached = if tone == Tone::Plain { "attached, " } else { "" };
        let state = colours.tone(tone, text);
        let how = interface.attach.as_ref().map_or(interface.state.as_str(), |mode| mode.as_str());
        format!("interface {}: {attached}{state} ({how})", interface.name)
    });
    let unguardable = status.unguardable.iter();
    let unguardable = unguardable.map(|name| format!("interface {name}: cannot be guarded"));
    guarded.chain(unguardable)
}

/// A line for each port, interface and site with a mode of its own, and one line about the mode
/// override, if there is one.
fn modes(status: &Status) -> Vec<String> {
    let mut lines: Vec<String> =
        status.modes.lines().into_iter().map(|line| format!("mode of {line}")).collect();
    lines.extend(status.modes.sites.iter().map(SiteMode::line));
    if let Some(at) = status.modes.set_at {
        let configured = status.modes.configured.as_ref();
        let configured = configured.map_or(String::new(), |it| format!("; firewall.mode is {it}"));
        lines.push(format!("modes set by `aop mode` {}{configured}", when(at)));
    }
    lines
}

/// One line about the list, and a second one if the last refresh failed.
pub(crate) fn prefix_lines(list: &PrefixStatus) -> Vec<String> {
    let PrefixStatus { v4, v6, .. } = list;
    let source = list.source.as_deref().unwrap_or("the maps");
    let mut line = format!("prefixes: {v4} IPv4 and {v6} IPv6 from {source}");
    if let Some(
        origin @ (ListOriginName::Snapshot | ListOriginName::Stored | ListOriginName::Nowhere),
    ) = &list.origin
    {
        line += &format!(" ({origin})");
    }
    line += &confirmed(list);
    if let Some(next) = list.next_refresh_seconds {
        let next = i64::try_from(next).map(SignedDuration::from_secs).unwrap_or_default();
        let at = Timestamp::now().checked_add(next).unwrap_or(Timestamp::MAX);
        line += &format!(", next refresh {}", when(at));
    }
    if list.draining > 0 {
        line += &format!(", {} draining", list.draining);
    }
    let failed = list.last_error.as_ref().map(|error| format!("  last refresh failed: {error}"));
    [line].into_iter().chain(failed).collect()
}

/// The next expiry, and one more if it is soon.
fn expiries(all: &[Expiry], now: Timestamp, colours: Colours) -> Vec<String> {
    let mut lines = Vec::new();
    for expiry in all {
        let seconds = expiry.not_after.duration_since(now).as_secs();
        if lines.len() == 2 || (!lines.is_empty() && seconds >= SOON) {
            continue;
        }
        let what = match expiry.what.as_str() {
            "server_certificate" => "server certificate",
            "client_ca" => "client CA",
            "crl" => "revocation list of",
            "fleet_certificate" => "certificate for the fleet",
            "fleet_ca" => "CA of the fleet's etcd",
            other => other,
        };
        let time = moment_text(expiry.not_after, now);
        let when = match seconds {
            ..=0 => colours.bad(&format!("EXPIRED {time}")),
            1..SOON => colours.bad(&time),
            SOON.. => time,
        };
        let subject = clip(&expiry.subject);
        let site = match expiry.site.as_str() {
            "" => String::new(),
            site => format!(", site {site}"),
        };
        lines.push(format!("expires: {what} {subject}{site}, {when}"));
    }
    lines
}

/// `fleet: web-17 in /aop, reported 3 s ago (...)`.
fn fleet(link: &FleetLink, colours: Colours) -> String {
    let FleetLink { name, prefix, state, reported_at, .. } = link;
    let last =
        reported_at.map_or("never reported".to_owned(), |at| format!("reported {}", when(at)));
    let state = match *state == FleetLinkState::Reporting {
        true => String::new(),
        false => format!(", {}", colours.bad(&state.as_str().replace('_', " "))),
    };
    let order = link.order.as_ref().map_or_else(String::new, |order| {
        let state = order.state.as_str().replace('_', " ");
        format!("; order {} of {}: {state}", order.serial, when(order.at))
    });
    format!("fleet: {name} in {prefix}, {last}{state}{order}")
}

/// A line for each own certificate at Cloudflare. Failures are among the warnings.
fn own_certificates(all: &[OwnCertificate], now: Timestamp, colours: Colours) -> Vec<String> {
    let line = |own: &OwnCertificate| {
        let OwnCertificate { site, level, ends, step, waits_for, last_error, .. } = own;
        let level = level.as_ref().map_or(String::new(), |level| format!("{level} level, "));
        let time = ends.map_or("its end is not known".to_owned(), |ends| {
            let time = moment_text(ends, now);
            let time = if ends <= now { format!("EXPIRED {time}") } else { format!("ends {time}") };
            if own.critical(now).is_some() { colours.bad(&time) } else { time }
        });
        let roll = step.as_ref().map_or(String::new(), |step| {
            let event = waits_for.as_deref().unwrap_or("nothing");
            format!("; roll: {step}, waits for {event}")
        });
        let failing = match last_error {
            Some(_) => format!("; {}", colours.bad("renewal FAILS")),
            None => String::new(),
        };
        format!("cloudflare: {site}, {level}{time}{roll}{failing}")
    };
    all.iter().map(line).collect()
}

/// A certificate's subject, cut to its share of a line.
fn clip(text: &str) -> String {
    const ROOM: usize = 28;
    match text.char_indices().nth(ROOM) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
