//! A status on one screen: warnings first, then what is guarded, refused and seen.

use std::io::{self, IsTerminal};

use jiff::Timestamp;

use crate::control::{
    Confinement, Interface, Predecessor, Prefixes, Refused, ReloadOutcome, ReloadedBy, Requests,
    SiteMode, Status, TerminatorReport,
};

/// Peers and identities that the screen shows; JSON has them all.
const SHOWN: usize = 8;

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Colours,
    Plain,
}

impl Paint {
    /// Colours only on a terminal, and never with NO_COLOR.
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

/// The screen.
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
    lines.extend(terminator(status, paint));
    lines.extend(predecessors(status));
    lines.extend(last_reload(status, paint));
    lines.extend(interfaces(status, paint));
    lines.extend(modes(status));
    lines.extend(prefixes(&status.prefixes));
    lines.extend(section("packets", paint, verdicts(status)));
    lines.extend(section("handshakes", paint, handshakes(status)));
    let requests = requests(status);
    if !requests.is_empty() {
        lines.extend(section("requests", paint, requests));
    }
    let more = |total: usize| match total > SHOWN {
        true => vec![format!("and {} more: --json shows them", total - SHOWN)],
        false => Vec::new(),
    };
    let peers = peers(status).into_iter().chain(more(status.peers_total)).collect();
    lines.extend(section("authenticated peers", paint, peers));
    let identities = identities(status).into_iter().chain(more(status.identities.len())).collect();
    lines.extend(section("client certificates seen", paint, identities));
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
    let Confinement { landlock, seccomp } = confinement;
    Some(format!(
        "terminator: process {pid}, user {user}, Landlock {landlock}, seccomp {seccomp}{silent}"
    ))
}

fn predecessors(status: &Status) -> impl Iterator<Item = String> {
    status.predecessors.iter().map(|Predecessor { pid, version, connections, until }| {
        let left = until.duration_since(Timestamp::now()).as_secs().max(0).unsigned_abs();
        let open = match connections {
            Some(open) => format!("{open} connections go on"),
            None => "it does not say how many connections go on".to_owned(),
        };
        format!("replaced: process {pid} (aop {version}), {open} for {} at most", span(left))
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
        (ReloadOutcome::ChangedBack, _) => "was refused, and has been changed back".to_owned(),
        (ReloadOutcome::Refused, error) => {
            format!("{}: {}", paint.bad("REFUSED"), error.as_deref().unwrap_or("no reason given"))
        }
    };
    Some(format!("last reload: {} ago, by {by}: {outcome}", since(reloaded.at)))
}

fn interfaces(status: &Status, paint: Paint) -> Vec<String> {
    let state = |interface: &Interface| match (&interface.attach, interface.enforcing) {
        (Some(attach), true) => format!("{} ({attach})", paint.good("enforcing")),
        (Some(attach), false) if enforces_in_part(status, &interface.name) => {
            format!("attached, enforcing in part ({attach})")
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

/// Whether an interface that does not enforce for every port does so for one.
fn enforces_in_part(status: &Status, interface: &str) -> bool {
    let own = status.modes.interfaces.iter().find(|own| own.name == interface);
    let usual = own.map_or(&status.mode, |own| &own.mode);
    usual == "enforce" || status.modes.ports.iter().any(|own| own.mode == "enforce")
}

/// A line for each own mode, and one that says where the modes come from, if not from the
/// configuration.
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

/// The list in a line, and in a second one what is wrong with it.
pub(super) fn prefixes(prefixes: &Prefixes) -> Vec<String> {
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
    let mut lines = vec![format!(
        "prefixes: {} IPv4 and {} IPv6 from {source}{origin}{age}{draining}, generation {}",
        prefixes.v4, prefixes.v6, prefixes.generation
    )];
    if let Some(error) = &prefixes.last_error {
        lines.push(format!("  last refresh refused: {error}"));
    }
    if let Some(next) = prefixes.next_refresh_seconds {
        lines.push(format!("  next refresh in {}", span(next)));
    }
    lines
}

fn section(title: &str, paint: Paint, rows: Vec<String>) -> Vec<String> {
    let rows = if rows.is_empty() { vec!["none".to_owned()] } else { rows };
    let rows = rows.into_iter().map(|row| format!("  {row}"));
    [String::new(), paint.head(title)].into_iter().chain(rows).collect()
}

fn verdicts(status: &Status) -> Vec<String> {
    status
        .verdicts
        .iter()
        .map(|verdict| {
            format!(
                "{:<10} {:<15} {:>12} packets {:>15} bytes  {}",
                verdict.action, verdict.reason, verdict.packets, verdict.bytes, verdict.interface
            )
        })
        .collect()
}

/// Empty where no site relays requests.
fn requests(status: &Status) -> Vec<String> {
    let Requests { relayed, refused } = &status.requests;
    let relayed = (*relayed > 0).then(|| format!("{relayed:>12} relayed"));
    let refused = refused.iter().map(|refused| {
        format!("{:>12} refused: {}, site {}", refused.count, refused.reason, refused.site)
    });
    relayed.into_iter().chain(refused).collect()
}

fn handshakes(status: &Status) -> Vec<String> {
    if status.daemon.is_none() {
        return Vec::new();
    }
    let handshakes = &status.handshakes;
    let mut rows = vec![format!("{:>12} accepted", handshakes.accepted)];
    if handshakes.would_refuse > 0 {
        rows.push(format!(
            "{:>12} from addresses that enforcing would refuse",
            handshakes.would_refuse
        ));
    }
    rows.extend(handshakes.refused.iter().map(|refused| {
        format!("{:>12} refused: {}, site {}", refused.count, refused.reason, refused.site)
    }));
    rows.extend(handshakes.refused_from_admitted.iter().map(|refused| {
        let Refused { site, reason, count } = refused;
        let meaning = from_admitted(reason).map_or(String::new(), |text| format!(": {text}"));
        format!("{count:>12} of these from admitted addresses: {reason}, site {site}{meaning}")
    }));
    rows.extend(handshakes.observed.iter().map(|Refused { site, reason, count }| {
        format!("{count:>12} served that would be refused: {reason}, site {site}")
    }));
    rows.extend(handshakes.observed_from_admitted.iter().map(|Refused { site, reason, count }| {
        format!("{count:>12} of these from admitted addresses: {reason}, site {site}")
    }));
    rows
}

/// What it means that the edge's own network is refused for `reason`. Nobody is banned for it: the
/// address is everybody's.
fn from_admitted(reason: &str) -> Option<&'static str> {
    match reason {
        "certificate_required" => Some(
            "another tenant of the CDN, a scanner behind it, or your own zone without authenticated \
             origin pulls",
        ),
        "unknown_ca" | "ca_as_leaf" => Some(
            "another tenant of the CDN, or your own zone with a certificate that client_ca did not \
             sign",
        ),
        "san_missing" | "cn_mismatch" | "pin_mismatch" | "not_post_quantum" => {
            Some("another tenant of the CDN, or your own zone with a certificate that was changed")
        }
        "unknown_name" | "no_name" => {
            Some("a host that points here and is in no site, or a scanner behind the CDN")
        }
        _ => None,
    }
}

fn peers(status: &Status) -> Vec<String> {
    let row = |peer: &crate::control::Peer| {
        format!(
            "{:<40} {:>8} handshakes, last {} ago, site {}",
            peer.address.to_string(),
            peer.handshakes,
            since(peer.last_seen),
            peer.site.as_deref().unwrap_or("no longer configured")
        )
    };
    status.peers.iter().take(SHOWN).map(row).collect()
}

fn identities(status: &Status) -> Vec<String> {
    let row = |identity: &crate::control::Identity| {
        format!(
            "{}: {} (issuer {}), ends {}, {} pulls, last {} ago, key {:.16}…",
            identity.site,
            identity.subject,
            identity.issuer,
            identity.not_after.strftime("%Y-%m-%d"),
            identity.pulls,
            since(identity.last_seen),
            identity.spki_sha256
        )
    };
    status.identities.iter().take(SHOWN).map(row).collect()
}

pub(super) fn since(moment: Timestamp) -> String {
    span(u64::try_from(Timestamp::now().as_second() - moment.as_second()).unwrap_or(0))
}

/// A number of seconds in its largest two units.
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
}
