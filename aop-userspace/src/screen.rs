//! The status on one screen: warnings first, then the guarded interfaces, the next expiry, refusals
//! and peers. A typical status has 24 lines of 80 columns.

mod rows;

use std::io::{self, IsTerminal};

use aop_api::{
    Expiry, InterfaceStatus, Predecessor, PrefixStatus, ReloadOutcome, ReloadedBy, SandboxReport,
    SiteMode, Status, TerminatorReport,
};
use jiff::Timestamp;

/// In seconds: an expiry within this time is shown in addition to the next one.
const SOON: i64 = 90 * 86_400;

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Colours,
    Plain,
}

impl Paint {
    /// Colours on a terminal, unless NO_COLOR is set.
    pub(super) fn of_stdout() -> Self {
        match io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            true => Self::Colours,
            false => Self::Plain,
        }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(super) fn head(self, text: &str) -> String {
        self.wrap("1", text)
    }
}

pub(super) fn render(status: &Status, paint: Paint) -> String {
    let mut lines = vec![headline(status, paint)];
    let openings = status.openings.iter();
    lines.extend(openings.map(|opening| format!("{} {}", paint.bad("!"), opening.line())));
    let pending = status.modes.pending.iter();
    lines.extend(pending.map(|pending| format!("{} {}", paint.bad("!"), pending.line())));
    for warning in &status.warnings {
        lines.push(format!("{} {warning}", paint.bad("!")));
    }
    lines.push(String::new());
    lines.extend(interfaces(status, paint));
    lines.extend(modes(status));
    lines.extend(prefixes(&status.prefixes));
    lines.extend(ends(&status.ends, Timestamp::now(), paint));
    lines.extend(last_reload(status, paint));
    lines.extend(predecessors(status));
    lines.extend(terminator(status, paint));
    lines.push(String::new());
    lines.extend(rows::all(status, paint));
    lines.join("\n") + "\n"
}

fn headline(status: &Status, paint: Paint) -> String {
    let mode = match status.mode.as_str() {
        "enforce" => paint.good("enforcing"),
        "observe" => paint.bad("observing"),
        _ => paint.bad("firewall off"),
    };
    let one = status.modes.ports.is_empty() && status.modes.interfaces.is_empty();
    let mode = if one { mode } else { format!("{mode} in general") };
    match &status.daemon {
        Some(daemon) => format!(
            "aop {}: {mode}, running for {} (process {}), {} connections open",
            status.version,
            span(daemon.uptime_seconds),
            daemon.pid,
            daemon.open_connections
        ),
        None => format!("aop {}: {mode}, {}", status.version, paint.bad("no daemon")),
    }
}

fn terminator(status: &Status, paint: Paint) -> Option<String> {
    let TerminatorReport { pid, user, answers, confinement } = status.terminator.as_ref()?;
    let silent = if *answers { String::new() } else { format!(", {}", paint.bad("NO ANSWER")) };
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
        format!("draining: process {pid} (aop {version}), {open}, ends in {} at most", span(left))
    })
}

fn last_reload(status: &Status, paint: Paint) -> Option<String> {
    let reloaded = status.last_reload.as_ref()?;
    let by = match reloaded.by {
        ReloadedBy::Signal => "SIGHUP",
        ReloadedBy::Command => "`aop reload`",
        ReloadedBy::Files => "changed files",
        ReloadedBy::Configuration => "a changed configuration",
    };
    let outcome = match (reloaded.outcome, &reloaded.error) {
        (ReloadOutcome::Applied, _) => "applied".to_owned(),
        (ReloadOutcome::ChangedBack, _) => "refused; the files were changed back since".to_owned(),
        (ReloadOutcome::Refused, error) => {
            format!("{}: {}", paint.bad("REFUSED"), error.as_deref().unwrap_or("no reason given"))
        }
    };
    Some(format!("last reload: {} ago, by {by}: {outcome}", since(reloaded.at)))
}

fn interfaces(status: &Status, paint: Paint) -> Vec<String> {
    let state = |interface: &InterfaceStatus| match (&interface.attach, interface.enforcing) {
        (Some(attach), true) => format!("{} ({attach})", paint.good("enforcing")),
        (Some(attach), false) if enforces_in_part(status, &interface.name) => {
            format!("attached, enforcing for some ports ({attach})")
        }
        (Some(attach), false) => format!("attached, observing ({attach})"),
        (None, _) => format!("{} ({})", paint.bad("NOT ATTACHED"), interface.state),
    };
    status
        .interfaces
        .iter()
        .map(|interface| format!("interface {}: {}", interface.name, state(interface)))
        .collect()
}

/// Whether an interface that does not enforce for all ports enforces for at least one.
fn enforces_in_part(status: &Status, interface: &str) -> bool {
    let own = status.modes.interfaces.iter().find(|own| own.name == interface);
    let usual = own.map_or(&status.mode, |own| &own.mode);
    usual == "enforce" || status.modes.ports.iter().any(|own| own.mode == "enforce")
}

/// A line for each port, interface and site with a mode of its own, and one line about the mode
/// override, if there is one.
fn modes(status: &Status) -> Vec<String> {
    let mut lines: Vec<String> =
        status.modes.lines().into_iter().map(|line| format!("mode of {line}")).collect();
    lines.extend(status.modes.sites.iter().map(SiteMode::line));
    if let Some(at) = status.modes.set_at {
        let configured = status.modes.configured.as_deref();
        let configured = configured.map_or(String::new(), |it| format!("; firewall.mode is {it}"));
        lines.push(format!("modes set by `aop mode` {} ago{configured}", since(at)));
    }
    lines
}

/// One line about the list, and a second one if the last refresh failed.
pub(super) fn prefixes(prefixes: &PrefixStatus) -> Vec<String> {
    let source = prefixes.source.as_deref().unwrap_or("the maps");
    let origin = match prefixes.origin.as_deref() {
        Some(origin @ ("snapshot" | "stored" | "nowhere")) => format!(" ({origin})"),
        Some(_) | None => String::new(),
    };
    let age =
        prefixes.age_seconds.map_or(String::new(), |age| format!(", confirmed {} ago", span(age)));
    let draining = match prefixes.draining {
        0 => String::new(),
        draining => format!(", {draining} draining"),
    };
    let next = prefixes
        .next_refresh_seconds
        .map_or(String::new(), |next| format!(", next refresh in {}", span(next)));
    let mut lines = vec![format!(
        "prefixes: {} IPv4 and {} IPv6 from {source}{origin}{age}{next}{draining}",
        prefixes.v4, prefixes.v6
    )];
    if let Some(error) = &prefixes.last_error {
        lines.push(format!("  last refresh failed: {error}"));
    }
    lines
}

/// The next expiry, and one more if it is soon.
fn ends(ends: &[Expiry], now: Timestamp, paint: Paint) -> Vec<String> {
    let left = |end: &Expiry| end.not_after.duration_since(now).as_secs();
    let shown = ends.iter().enumerate().filter(|(at, end)| *at == 0 || left(end) < SOON);
    let line = |(_, end): (usize, &Expiry)| {
        let what = match end.what.as_str() {
            "server_certificate" => "server certificate",
            "client_ca" => "client CA",
            "crl" => "revocation list of",
            other => other,
        };
        let seconds = left(end);
        let time = span(seconds.unsigned_abs());
        let when = match seconds {
            ..=0 => paint.bad(&format!("EXPIRED {time} ago")),
            1..SOON => paint.bad(&format!("in {time}")),
            SOON.. => format!("in {time}"),
        };
        let on = end.not_after.strftime("%Y-%m-%d");
        format!("expires: {what} {}, site {}, {when} ({on})", clip(&end.subject), end.site)
    };
    shown.take(2).map(line).collect()
}

/// A certificate's subject, cut to its share of a line.
fn clip(text: &str) -> String {
    const ROOM: usize = 28;
    match text.char_indices().nth(ROOM) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

pub(super) fn since(moment: Timestamp) -> String {
    span(u64::try_from(Timestamp::now().as_second() - moment.as_second()).unwrap_or(0))
}

/// Seconds in the two largest units.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_two_units() {
        assert_eq!(span(59), "59 s");
        assert_eq!(span(61), "1 min 1 s");
        assert_eq!(span(7260), "2 h 1 min");
        assert_eq!(span(90_000), "1 d 1 h");
    }

    #[test]
    fn the_next_expiry_is_shown_and_one_more_only_if_it_is_soon() {
        let now = Timestamp::UNIX_EPOCH;
        let end = |days: i64| Expiry {
            what: "client_ca".into(),
            site: "example.com".into(),
            subject: "CN=".to_owned() + &"x".repeat(60),
            file: "ca.pem".into(),
            not_after: Timestamp::from_second(days * 86_400).expect("a moment"),
        };
        let shown = |days: &[i64]| {
            let all: Vec<Expiry> = days.iter().map(|days| end(*days)).collect();
            ends(&all, now, Paint::Plain)
        };
        assert_eq!(shown(&[400, 500]).len(), 1);
        let lines = shown(&[-2, 3, 4]);
        let [over, soon] = &lines[..] else { panic!("{lines:?}") };
        assert!(over.contains("EXPIRED 2 d 0 h ago"), "{over}");
        assert!(soon.ends_with("…, site example.com, in 3 d 0 h (1970-01-04)"), "{soon}");
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:?}");
    }
}
