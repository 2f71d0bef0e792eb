//! The counters and lists of a status. Each section shows its sum, then its largest or latest rows.

use std::{cmp::Reverse, collections::BTreeMap};

use aop_api::{PeerStatus, RefusalCount, SeenIdentity, Status};
use aop_types::Refusal;

use super::{Paint, clip, since};

/// How many rows of packets and of refusals are shown.
const MOST: usize = 8;
/// How many peers and client certificates are shown.
const LATEST: usize = 3;

pub(super) fn all(status: &Status, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(section(paint, "packets", "", packets(status), MOST, "aop status --json"));
    if status.daemon.is_some() {
        lines.extend(handshakes(status, paint));
        lines.extend(requests(status, paint));
    }
    let peers = status.peers.iter().map(peer).collect();
    let total = status.peers_total.to_string();
    lines.extend(section(paint, "peers", &total, peers, LATEST, "aop peers"));
    let identities: Vec<String> = status.identities.iter().map(identity).collect();
    let total = identities.len().to_string();
    let title = "client certificates seen";
    lines.extend(section(paint, title, &total, identities, LATEST, "aop identities"));
    lines
}

/// `title: sum` and the first rows; `more` is the command that shows the others.
fn section(
    paint: Paint,
    title: &str,
    sum: &str,
    rows: Vec<String>,
    most: usize,
    more: &str,
) -> Vec<String> {
    let sum = if sum.is_empty() && rows.is_empty() { "none" } else { sum };
    let head = format!("{}{}", paint.head(&format!("{title}:")), padded(sum));
    let left = rows.len().saturating_sub(most);
    let rest = (left > 0).then(|| format!("  and {left} more: `{more}`"));
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
        let sum = sums.entry((&verdict.action, &verdict.reason)).or_default();
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

fn handshakes(status: &Status, paint: Paint) -> Vec<String> {
    let handshakes = &status.handshakes;
    let mut rows: Vec<String> = Vec::new();
    if handshakes.would_refuse > 0 {
        let count = handshakes.would_refuse;
        rows.push(format!("{count:>10} from addresses that enforce would block"));
    }
    for RefusalCount { site, reason, count } in largest(&handshakes.refused) {
        rows.push(format!("{count:>10} refused: {reason}, site {site}"));
    }
    for RefusalCount { site, reason, count } in largest(&handshakes.refused_from_admitted) {
        rows.push(format!("{count:>10} of these from admitted addresses: {reason}, site {site}"));
        // aop never bans the address, because all customers of the CDN share it.
        let meaning = Refusal::from_name(reason).and_then(Refusal::if_admitted);
        rows.extend(meaning.map(|meaning| format!("{:>10} {meaning}", "")));
    }
    for RefusalCount { site, reason, count } in largest(&handshakes.observed) {
        rows.push(format!("{count:>10} served, enforce would refuse: {reason}, site {site}"));
    }
    for RefusalCount { site, reason, count } in largest(&handshakes.observed_from_admitted) {
        rows.push(format!("{count:>10} of these from admitted addresses: {reason}, site {site}"));
    }
    let refused: u64 = handshakes.refused.iter().map(|refused| refused.count).sum();
    let sum = format!("{} accepted, {refused} refused", handshakes.accepted);
    section(paint, "handshakes", &sum, rows, 2 * MOST, "aop status --json")
}

/// Empty if no site relays HTTP requests.
fn requests(status: &Status, paint: Paint) -> Vec<String> {
    let requests = &status.requests;
    if requests.relayed == 0 && requests.refused.is_empty() {
        return Vec::new();
    }
    let rows = largest(&requests.refused).map(|RefusalCount { site, reason, count }| {
        format!("{count:>10} refused: {reason}, site {site}")
    });
    let refused: u64 = requests.refused.iter().map(|refused| refused.count).sum();
    let sum = format!("{} relayed, {refused} refused", requests.relayed);
    section(paint, "requests", &sum, rows.collect(), MOST, "aop status --json")
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
        since(peer.last_seen),
        peer.site.as_deref().unwrap_or("no longer configured")
    )
}

fn identity(identity: &SeenIdentity) -> String {
    format!(
        "{}: {}, expires {}, {} pulls, last {} ago",
        identity.site,
        clip(&identity.subject),
        identity.not_after.strftime("%Y-%m-%d"),
        identity.pulls,
        since(identity.last_seen),
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
