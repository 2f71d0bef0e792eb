//! The preflight of `aop mode enforce`: reasons why enforcing now would refuse real pulls, or drop
//! known sources, as far as the daemon has observed. `--force` overrides them.

use std::{net::IpAddr, time::Duration};

use aop_api::{Status, StrangerStatus, VerdictCount, timestamp};
use aop_common::Standing;
use aop_firewall::{FirewallError, PeerListing};
use aop_types::{PeerEntry, monotonic_seconds};
use jiff::Timestamp;

use super::Daemon;

mod sites;
mod strangers;

/// A peer that has authenticated within this time is expected again.
const RECENT: Duration = Duration::from_secs(24 * 3600);
/// How many addresses a reason names.
const NAMED: usize = 5;

/// The outcome for packets.
#[derive(Default)]
pub(super) struct PacketPreflight {
    /// The reasons not to enforce now.
    pub(super) objections: Vec<String>,
    /// Sources of many packets that enforcing drops. They are no reason: on a public address,
    /// scanners come all the time.
    pub(super) busy: Vec<StrangerStatus>,
}

/// The observations that decide.
#[derive(Clone, Debug, Default)]
struct PacketEvidence {
    /// Number of admitted prefixes.
    admitted: usize,
    /// Hours since the list was last confirmed, where that is too long.
    list_hours: Option<u64>,
    /// Whether listeners serve and no peer is known to have authenticated, in this run or an
    /// earlier one.
    no_pulls: bool,
    /// Whether there is no listener, and no packet came from an admitted address.
    no_packets: bool,
    /// Peers that have authenticated and would be dropped, with the time of the last handshake.
    outsiders: Vec<(IpAddr, Timestamp)>,
    /// Why the peers cannot be read.
    unreadable: Option<String>,
    /// Sources that pass because of the mode alone.
    cut_off: Vec<StrangerStatus>,
    /// Why these cannot be read.
    strangers_unreadable: Option<String>,
}

impl Daemon {
    /// Weighs enforcing for packets now, to `ports`; none: to every port.
    pub(super) fn packet_preflight(&self, ports: &[u16]) -> PacketPreflight {
        let (status, now) = (self.status(), Timestamp::now());
        let (cut_off, strangers_unreadable) = match self.strangers() {
            Ok(report) => (strangers::cut_off(report, ports, now), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let (peers, unreadable) = match self.authenticated() {
            Ok(peers) => (peers, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let evidence = {
            let policy = self.policy.read();
            let monotonic = monotonic_seconds();
            // With probation, an authenticated stranger is admitted.
            let admits_authenticated = policy.live.probation > 0;
            // Loopback packets do not reach the packet program.
            let out = |address: IpAddr| {
                let stands = policy.admission.standing(address, monotonic);
                stands == Standing::Unknown && !address.is_loopback()
            };
            let peers = peers.iter().filter(|(address, _)| !admits_authenticated && out(*address));
            PacketEvidence {
                admitted: status.prefixes.v4 + status.prefixes.v6,
                list_hours: policy.stale_hours(),
                no_pulls: has_no_pulls(&status),
                no_packets: status.terminator.is_none() && has_no_packets(&status),
                outsiders: peers.copied().collect(),
                unreadable,
                cut_off,
                strangers_unreadable,
            }
        };
        let objections = reasons(&evidence, now);
        PacketPreflight { objections, busy: strangers::busy(evidence.cut_off) }
    }

    /// All authenticated peers, with the time of the last handshake. The status lists the latest.
    fn authenticated(&self) -> Result<Vec<(IpAddr, Timestamp)>, FirewallError> {
        let firewall = self.firewall();
        let read = firewall.map(|firewall| firewall.read(PeerListing::Peers)).transpose()?;
        let peers = read.flatten().map(|snapshot| snapshot.peers).unwrap_or_default();
        let seen = |peer: &PeerEntry| (peer.address, timestamp(peer.facts.last_seen));
        Ok(peers.iter().map(seen).collect())
    }

    /// The reasons not to enforce for these sites now.
    pub(super) fn site_preflight(&self, sites: &[String]) -> Vec<String> {
        let (status, now) = (self.status(), Timestamp::now());
        sites.iter().flat_map(|site| sites::reasons(&status, site, now)).collect()
    }
}

/// Only a terminator that answers can tell that no peer pulls.
fn has_no_pulls(status: &Status) -> bool {
    let serves = status.terminator.as_ref().is_some_and(|terminator| terminator.answers);
    serves && !status.is_pulled(None)
}

fn has_no_packets(status: &Status) -> bool {
    let admitted = |it: &VerdictCount| matches!(it.reason.as_str(), "admitted" | "proven");
    !status.verdicts.iter().any(admitted)
}

fn reasons(evidence: &PacketEvidence, now: Timestamp) -> Vec<String> {
    let PacketEvidence { admitted, list_hours, no_pulls, no_packets, outsiders, .. } = evidence;
    let mut reasons = Vec::new();
    if let Some(error) = &evidence.unreadable {
        reasons.push(format!("the authenticated peers cannot be read: {error}"));
    }
    let recent = |seen: &Timestamp| now.duration_since(*seen).unsigned_abs() <= RECENT;
    let cut: Vec<IpAddr> =
        outsiders.iter().filter(|(_, seen)| recent(seen)).map(|(address, _)| *address).collect();
    if let Some(first) = cut.first() {
        reasons.push(format!(
            "{} authenticated within the last 24 hours, and no prefix admits them: they would be \
             dropped (see `aop explain {first}`; add them to firewall.extra, or refresh the list)",
            list_named(&cut)
        ));
    }
    if let Some(error) = &evidence.strangers_unreadable {
        reasons.push(format!("the sources that no prefix admits cannot be read: {error}"));
    }
    reasons.extend(strangers::reason(&evidence.cut_off));
    if *admitted == 0 {
        reasons.push(
            "no prefix is admitted: every new connection would be dropped (see `aop prefixes \
             refresh`)"
                .to_owned(),
        );
    } else if let Some(hours) = list_hours {
        reasons.push(format!(
            "the prefix list has not been confirmed for {hours} h: edges in newer prefixes would \
             be dropped (see `aop prefixes refresh`)"
        ));
    }
    if *no_pulls {
        reasons.push(
            "no peer has authenticated at the listeners yet, so nothing shows that the CDN's pulls \
             would pass (see `aop status`)"
                .to_owned(),
        );
    }
    if *no_packets {
        reasons.push(
            "no packet ever came from an admitted address, so nothing shows that visitors come \
             through the CDN (see `aop doctor`)"
                .to_owned(),
        );
    }
    reasons
}

/// The first ones, and the number of the others.
fn list_named<T: ToString>(
    all: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
) -> String {
    let all = all.into_iter();
    let more = all.len().saturating_sub(NAMED);
    let named: Vec<String> = all.take(NAMED).map(|one| one.to_string()).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    fn fine() -> PacketEvidence {
        PacketEvidence { admitted: 22, ..PacketEvidence::default() }
    }

    #[test]
    fn good_observations_give_no_reason() {
        assert_eq!(reasons(&fine(), at(0)), Vec::<String>::new());
    }

    #[test]
    fn recent_peers_outside_of_all_prefixes_are_named() {
        let peer = |last: u8, seen| (IpAddr::from([192, 0, 2, last]), at(seen));
        let outsiders = vec![peer(1, DAY), peer(2, 2 * DAY), peer(3, DAY - 1)];
        let found = reasons(&PacketEvidence { outsiders, ..fine() }, at(2 * DAY));
        let [reason] = &found[..] else { panic!("{found:?}") };
        assert!(reason.starts_with("192.0.2.1, 192.0.2.2 authenticated"), "{reason}");
        let outsiders = (0..9).map(|last| peer(last, DAY)).collect();
        let found = reasons(&PacketEvidence { outsiders, ..fine() }, at(DAY));
        assert!(found[0].contains("192.0.2.4 and 4 more"), "{found:?}");
        let outsiders = vec![peer(1, 0)];
        assert!(reasons(&PacketEvidence { outsiders, ..fine() }, at(DAY + 1)).is_empty());
    }

    #[test]
    fn an_empty_or_old_list_and_a_lack_of_pulls_are_reasons() {
        let text = |observed| reasons(&observed, at(0)).join("\n");
        let empty = text(PacketEvidence { admitted: 0, list_hours: Some(90), ..fine() });
        assert!(empty.contains("no prefix is admitted") && !empty.contains("90 h"), "{empty}");
        assert!(text(PacketEvidence { list_hours: Some(90), ..fine() }).contains("for 90 h"));
        assert!(
            text(PacketEvidence { no_pulls: true, ..fine() }).contains("no peer has authenticated")
        );
        assert!(
            text(PacketEvidence { no_packets: true, ..fine() }).contains("no packet ever came")
        );
    }
}
