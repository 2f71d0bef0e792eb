//! Authenticated peers: the answer of `aop peers`, and their list in the status.

use std::{collections::HashMap, net::IpAddr};

use aop_common::layout::site_id;
use aop_types::PeerEntry;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AdmissionContext, AdmissionSource, timestamp};

/// Peers that one document shows: the latest.
pub const MAX_PEERS_SHOWN: usize = 1000;

/// All authenticated peers on record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PeersReport {
    /// The peers, the last seen first.
    pub peers: Vec<KnownPeer>,
    /// How many are on record. Without the firewall, at most the latest thousand are listed.
    pub total: usize,
}

/// An authenticated peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its address.
    pub address: IpAddr,
    /// The site of its last handshake; `null` where the configuration no longer has the site.
    pub site: Option<String>,
    /// Authenticated handshakes.
    pub handshakes: u64,
    /// When the first one was made.
    pub first_seen: Timestamp,
    /// When the last one was made.
    pub last_seen: Timestamp,
}

/// An authenticated peer, and what admits it now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownPeer {
    /// Its record.
    #[serde(flatten)]
    pub peer: PeerStatus,
    /// The rule that admits it now; `null` if none does, and enforcing drops its packets.
    pub admitted_by: Option<AdmissionSource>,
    /// The prefix that admits it; `null` where none does.
    pub prefix: Option<String>,
    /// Seconds until that expires; `null` where it does not. The expiry of an opening is in the
    /// status.
    pub ends_seconds: Option<u64>,
}

/// Whether an authenticated address outside of every prefix is trusted for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideTrust {
    /// Until the time in its record.
    ForATime,
    /// Never: strangers get no tries.
    Never,
}

impl PeersReport {
    /// The peers of the maps, `entries`, in their order. `sites` are the names for which the site
    /// marks of peers may stand.
    #[must_use]
    pub fn of(
        entries: &[PeerEntry],
        sites: &[String],
        context: &AdmissionContext<'_>,
        trust: OutsideTrust,
    ) -> Self {
        let names = site_names(sites);
        let known = |entry: &PeerEntry| {
            let trusted_until = match trust {
                OutsideTrust::ForATime => entry.facts.trusted_until,
                OutsideTrust::Never => 0,
            };
            KnownPeer::new(peer(entry, &names), trusted_until, context)
        };
        Self { peers: entries.iter().map(known).collect(), total: entries.len() }
    }

    /// The record of a process without maps: `peers` are the latest of `total`.
    #[must_use]
    pub fn in_memory(peers: Vec<PeerStatus>, total: usize, context: &AdmissionContext<'_>) -> Self {
        let known = |peer| KnownPeer::new(peer, 0, context);
        Self { peers: peers.into_iter().map(known).collect(), total }
    }
}

impl KnownPeer {
    fn new(peer: PeerStatus, trusted_until: u64, context: &AdmissionContext<'_>) -> Self {
        let (admitted_by, prefix, ends_seconds) = match context.longest(peer.address) {
            Some((prefix, source, left)) => (Some(source), Some(prefix.to_string()), left),
            None => match context.left(trusted_until) {
                Some(left) => (Some(AdmissionSource::Trusted), None, Some(left)),
                None => (None, None, None),
            },
        };
        Self { peer, admitted_by, prefix, ends_seconds }
    }
}

/// The first [`MAX_PEERS_SHOWN`] of `peers`, for the status.
#[must_use]
pub fn peer_list(peers: &[PeerEntry], sites: &[String]) -> Vec<PeerStatus> {
    let names = site_names(sites);
    peers.iter().take(MAX_PEERS_SHOWN).map(|entry| peer(entry, &names)).collect()
}

/// A peer as documents show it. `names` are the sites by their marks.
fn peer(entry: &PeerEntry, names: &HashMap<u64, &String>) -> PeerStatus {
    let facts = &entry.facts;
    PeerStatus {
        address: entry.address,
        site: names.get(&facts.site).map(|name| (*name).clone()),
        handshakes: facts.handshakes,
        first_seen: timestamp(facts.first_seen),
        last_seen: timestamp(facts.last_seen),
    }
}

/// The sites by the marks that stand for them in the maps.
fn site_names(sites: &[String]) -> HashMap<u64, &String> {
    sites.iter().map(|name| (site_id(name), name)).collect()
}

#[cfg(test)]
mod tests {
    use aop_common::layout::Prefix;
    use aop_types::Admission;
    use ipnet::IpNet;

    use super::*;

    const NOW: u64 = 1000;

    #[test]
    fn each_peer_is_listed_with_what_admits_it_now() {
        let net = |text: &str| text.parse::<IpNet>().expect("a CIDR");
        let drains = |drains_until| Prefix { drains_until };
        let admission = Admission::from_entries(vec![
            (net("192.0.2.0/24"), Prefix::ADMITTED),
            (net("198.51.100.0/24"), Prefix::ADMITTED),
            (net("198.51.100.8/32"), Prefix::ADMITTED),
            (net("203.0.113.0/25"), drains(1060)),
            (net("203.0.113.128/25"), drains(1000)),
        ]);
        let reading = |(address, trusted_until): (&str, u64)| PeerEntry {
            address: address.parse().expect("an address"),
            facts: aop_common::layout::PeerValue::seen(None, 7, "a", trusted_until),
        };
        let readings = [
            ("192.0.2.1", 0),
            ("198.51.100.1", 0),
            ("198.51.100.8", 0),
            ("203.0.113.1", 2000),
            ("203.0.113.129", 0),
            ("2001:db8::1", 1001),
            ("2001:db8::2", 1000),
        ]
        .map(reading);
        let (extra, opened) = ([net("198.51.100.0/24")], [net("198.51.100.8/32")]);
        let context = AdmissionContext::new(&admission, &extra, &opened, NOW);
        let shown = |trust| -> Vec<(Option<AdmissionSource>, Option<u64>)> {
            let peers = PeersReport::of(&readings, &["a".to_owned()], &context, trust).peers;
            assert!(peers.iter().all(|peer| peer.peer.site.as_deref() == Some("a")));
            peers.into_iter().map(|peer| (peer.admitted_by, peer.ends_seconds)).collect()
        };
        let by = |source, ends| (Some(source), ends);
        let expected = [
            by(AdmissionSource::List, None),
            by(AdmissionSource::Extra, None),
            by(AdmissionSource::Opening, None),
            by(AdmissionSource::Draining, Some(60)),
            (None, None),
            by(AdmissionSource::Trusted, Some(1)),
            (None, None),
        ];
        assert_eq!(shown(OutsideTrust::ForATime), expected);
        assert_eq!(shown(OutsideTrust::Never)[5], (None, None));
        let stranger =
            |address: &str| context.admits_stranger(address.parse().expect("an address"));
        assert_eq!(stranger("198.51.100.8"), Some(AdmissionSource::Opening));
        assert_eq!(stranger("203.0.113.1"), None, "draining");
    }
}
