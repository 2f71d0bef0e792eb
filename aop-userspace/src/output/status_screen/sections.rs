//! The counters and lists of a status. Each section shows its sum, then its largest or latest rows.

use std::{cmp::Reverse, collections::BTreeMap};

use aop_api::{PeerStatus, RefusalCount, Requests, SeenIdentity, SlotUsageReport, Status};
use aop_types::Refusal;

use super::{Colours, age, clip, distance};

/// How many rows of packets and of refusals are shown.
const MAX_ROWS: usize = 8;
/// How many peers and client certificates are shown.
const MAX_LATEST: usize = 3;
const FROM_ADMITTED: &str = "of these from admitted addresses";

pub(super) fn all(status: &Status, colours: Colours) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(section(colours, "packets", "", packets(status), MAX_ROWS, "aop status --json"));
    if status.daemon.is_some() {
        lines.extend(handshakes(status, colours));
        lines.extend(requests(status, colours));
    }
    let peers = status.peers.iter().map(peer).collect();
    let total = status.peers_total.to_string();
    lines.extend(section(colours, "peers", &total, peers, MAX_LATEST, "aop peers"));
    let identities: Vec<String> = status.identities.iter().map(identity).collect();
    let total = identities.len().to_string();
    let title = "client certificates seen";
    lines.extend(section(colours, title, &total, identities, MAX_LATEST, "aop identities"));
    lines
}

/// `title: sum` and the first rows; `full` is the command that shows the others.
fn section(
    colours: Colours,
    title: &str,
    sum: &str,
    rows: Vec<String>,
    most: usize,
    full: &str,
) -> Vec<String> {
    let sum = if sum.is_empty() && rows.is_empty() { "none" } else { sum };
    let head = format!("{}{}", colours.head(&format!("{title}:")), padded(sum));
    let left = rows.len().saturating_sub(most);
    let rest = (left > 0).then(|| format!("  and {left} more: `{full}`"));
    let rows = rows.into_iter().take(most).map(|row| format!("  {row}"));
    [head].into_iter().chain(rows).chain(rest).collect()
}

fn padded(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {text}") }
}

/// Packets of all interfaces together, drops first.
fn packets(status: &Status) -> Vec<String> {
    let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for verdict in &status.verdicts {
        let sum = sums.entry((verdict.action.as_str(), verdict.reason.as_str())).or_default();
        sum.0 = sum.0.saturating_add(verdict.packets);
        sum.1 = sum.1.saturating_add(verdict.bytes);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|((action, _), (packets, _))| (*action == "pass", Reverse(*packets)));
    let row = |((action, reason), (packets, bytes))| {
        format!("{action:<10} {reason:<18} {packets:>14} packets {:>10}", volume(bytes))
    };
    sums.into_iter().map(row).collect()
}

/// A number of bytes in the largest unit of which it has at least one.
fn volume(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut shown = format!("{bytes} B");
    for (power, unit) in (1..).zip(UNITS) {
        let tenths = (u128::from(bytes) * 10) >> (10 * power);
        if tenths >= 10 {
            shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    shown
}

fn handshakes(status: &Status, colours: Colours) -> Vec<String> {
    let handshakes = &status.handshakes;
    let mut rows: Vec<String> = Vec::new();
    if handshakes.would_refuse > 0 {
        let count = handshakes.would_refuse;
        rows.push(format!("{count:>5} from addresses that enforce would block"));
    }
    rows.extend(refusal_rows(&handshakes.refused, "refused"));
    let own: u64 = handshakes.refused_from_this_host.iter().map(|refusal| refusal.count).sum();
    if own > 0 {
        rows.push(format!("{own:>5} of these from this host itself, as `aop doctor` makes them"));
    }
    for refusal in largest(&handshakes.refused_from_admitted) {
        rows.push(refusal_row(refusal, FROM_ADMITTED));
        // aop never bans the address, because all customers of the CDN share it.
        let meaning = Refusal::from_name(&refusal.reason).and_then(Refusal::if_admitted);
        rows.extend(meaning.map(|meaning| format!("{:>5} {meaning}", "")));
    }
    rows.extend(refusal_rows(&handshakes.observed, "served, enforce would refuse"));
    rows.extend(refusal_rows(&handshakes.observed_from_admitted, FROM_ADMITTED));
    let refused: u64 = handshakes.refused.iter().map(|refused| refused.count).sum();
    let sum = format!("{} accepted, {refused} refused", handshakes.accepted);
    section(colours, "handshakes", &sum, rows, 2 * MAX_ROWS, "aop status --json")
}

/// Empty if no site relays HTTP requests.
fn requests(status: &Status, colours: Colours) -> Vec<String> {
    let Requests { relayed, refused, retired, open } = &status.requests;
    if *relayed == 0 && refused.is_empty() && retired.is_empty() && open.is_empty() {
        return Vec::new();
    }
    let open = open.iter().flat_map(|site| {
        let of = |what, usage: SlotUsageReport| {
            let SlotUsageReport { open, limit } = usage;
            (open > 0).then(|| format!("{open:>5} of {limit} {what} open, site {}", site.site))
        };
        of("requests", site.requests).into_iter().chain(of("tunnels", site.tunnels))
    });
    let retired = refusal_rows(retired, "HTTP/2 connections retired");
    let rows = open.chain(refusal_rows(refused, "not relayed")).chain(retired).collect();
    let refused: u64 = refused.iter().map(|refused| refused.count).sum();
    let sum = format!("{relayed} relayed, {refused} not relayed");
    section(colours, "requests", &sum, rows, MAX_ROWS, "aop status --json")
}

fn refusal_rows(refused: &[RefusalCount], what: &str) -> Vec<String> {
    largest(refused).map(|refusal| refusal_row(refusal, what)).collect()
}

fn refusal_row(refusal: &RefusalCount, what: &str) -> String {
    let RefusalCount { site, reason, count } = refusal;
    format!("{count:>5} {what}: {reason}, site {site}")
}

fn largest(refused: &[RefusalCount]) -> impl Iterator<Item = &RefusalCount> {
    let mut refused: Vec<&RefusalCount> = refused.iter().collect();
    refused.sort_by_key(|refused| Reverse(refused.count));
    refused.into_iter()
}

fn peer(peer: &PeerStatus) -> String {
    format!(
        "{}: {} handshakes, last {} ago, site {}",
        peer.address,
        peer.handshakes,
        age(peer.last_seen),
        peer.site.as_deref().unwrap_or("no longer configured")
    )
}

fn identity(identity: &SeenIdentity) -> String {
    format!(
        "{}: {}, expires {}, {} pulls, last {} ago",
        identity.site,
        clip(&identity.subject),
        distance(identity.not_after),
        identity.pulls,
        age(identity.last_seen),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_use_the_largest_unit_of_which_they_have_one() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_600_000, "1.5 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(volume(bytes), shown);
        }
    }
}
