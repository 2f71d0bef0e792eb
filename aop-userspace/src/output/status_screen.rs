//! The status on one screen: warnings first, then the guarded interfaces, the next expiry, refusals
//! and peers. A typical status has 24 lines of 80 columns.

mod sections;

use aop_api::{
    Expiry, ListOriginName, Predecessor, PrefixStatus, ReloadOutcome, ReloadedBy, SandboxReport,
    SiteMode, Status, TerminatorReport,
};
use jiff::Timestamp;

use super::{
    Colours, StateText, Tone, ago, confirmed, date, duration_text, headline_mode, interface_state,
};

/// In seconds: an expiry within this time is shown in addition to the next one.
const SOON: i64 = 90 * 86_400;

/// The status as lines of text.
pub(crate) fn render_status(status: &Status, colours: Colours) -> String {
    let mut lines = vec![headline(status, colours)];
    let openings = status.openings.iter();
    lines.extend(openings.map(|opening| format!("{} {}", colours.bad("!"), opening.line())));
    let pending = status.modes.pending.iter();
    lines.extend(pending.map(|pending| format!("{} {}", colours.bad("!"), pending.line())));
    for warning in &status.warnings {
        lines.push(format!("{} {warning}", colours.bad("!")));
    }
    lines.push(String::new());
    lines.extend(interfaces(status, colours));
    lines.extend(modes(status));
    lines.extend(prefix_lines(&status.prefixes));
    lines.extend(expiries(&status.ends, Timestamp::now(), colours));
    lines.extend(last_reload(status, colours));
    lines.extend(predecessors(status));
    lines.extend(terminator(status, colours));
    lines.push(String::new());
    lines.extend(sections::all(status, colours));
    super::lines(lines)
}

fn headline(status: &Status, colours: Colours) -> String {
    let (text, tone) = headline_mode(status);
    let mode = colours.tone(tone, &text);
    match &status.daemon {
        Some(daemon) => format!(
            "aop {}: {mode}, running for {} (process {}), {} connections open",
            status.version,
            duration_text(daemon.uptime_seconds),
            daemon.pid,
            daemon.open_connections
        ),
        None => format!("aop {}: {mode}, {}", status.version, colours.bad("no daemon")),
    }
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
        let left = until.duration_since(Timestamp::now()).as_secs().max(0).unsigned_abs();
        let open = match connections {
            Some(open) => format!("{open} connections open"),
            None => "open connections unknown".to_owned(),
        };
        format!(
            "draining: process {pid} (aop {version}), {open}, ends in {} at most",
            duration_text(left)
        )
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
    let outcome = match (reloaded.outcome, &reloaded.error) {
        (ReloadOutcome::Applied, _) => "applied".to_owned(),
        (ReloadOutcome::Unknown, _) => "of another version of aop".to_owned(),
        (ReloadOutcome::ChangedBack, _) => "refused; the files were changed back since".to_owned(),
        (ReloadOutcome::Refused, error) => {
            format!("{}: {}", colours.bad("REFUSED"), error.as_deref().unwrap_or("no reason given"))
        }
    };
    Some(format!("last reload: {} ago, by {by}: {outcome}", ago(reloaded.at)))
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
        lines.push(format!("modes set by `aop mode` {} ago{configured}", ago(at)));
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
        line += &format!(", next refresh in {}", duration_text(next));
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
            other => other,
        };
        let time = duration_text(seconds.unsigned_abs());
        let when = match seconds {
            ..=0 => colours.bad(&format!("EXPIRED {time} ago")),
            1..SOON => colours.bad(&format!("in {time}")),
            SOON.. => format!("in {time}"),
        };
        let (subject, site) = (clip(&expiry.subject), &expiry.site);
        let day = date(expiry.not_after);
        lines.push(format!("expires: {what} {subject}, site {site}, {when} ({day})"));
    }
    lines
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
mod tests {
    use super::*;

    #[test]
    fn the_next_expiry_is_shown_and_one_more_only_if_it_is_soon() {
        let now = Timestamp::UNIX_EPOCH;
        let expiry = |days: i64| Expiry {
            what: "client_ca".into(),
            site: "example.com".into(),
            subject: "CN=".to_owned() + &"x".repeat(60),
            file: "ca.pem".into(),
            not_after: Timestamp::from_second(days * 86_400).expect("a moment"),
        };
        let shown = |days: &[i64]| {
            let all: Vec<Expiry> = days.iter().map(|days| expiry(*days)).collect();
            expiries(&all, now, Colours::Off)
        };
        assert_eq!(shown(&[400, 500]).len(), 1);
        let lines = shown(&[-2, 3, 4]);
        let [over, soon] = &lines[..] else { panic!("{lines:?}") };
        assert!(over.contains("EXPIRED 2 d 0 h ago"), "{over}");
        assert!(soon.ends_with("…, site example.com, in 3 d 0 h (1970-01-04)"), "{soon}");
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:?}");
    }
}
