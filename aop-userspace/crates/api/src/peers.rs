//! Every authenticated peer on record: the answer of `aop peers`. Names are stable: fields are
//! added, never renamed.

use std::collections::HashMap;

use aop_common::layout::site_id;
use aop_types::{Admission, PeerEntry};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    admitted::{Source, Sources},
    report::{PeerStatus, peer},
};

/// All authenticated peers on record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PeersReport {
    /// The peers, the last seen first.
    pub peers: Vec<KnownPeer>,
    /// How many are on record. Without the firewall, at most the latest thousand are listed.
    pub total: usize,
}

/// An authenticated peer, and what admits it now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownPeer {
    /// What is recorded of it.
    #[serde(flatten)]
    pub peer: PeerStatus,
    /// What admits it now: `list`, `extra`, `opening`, `draining` (its prefix has left the list,
    /// and it has authenticated) or `trusted` (no prefix contains it, it has authenticated, and
    /// strangers get tries); `null` where nothing admits it, and enforcing drops its packets.
    pub admitted_by: Option<String>,
    /// The prefix that admits it; `null` where none does.
    pub prefix: Option<String>,
    /// Seconds until that expires; `null` where it does not. The expiry of an opening is in the
    /// status.
    pub ends_seconds: Option<u64>,
}

/// The admission rules in force, by which [`PeersReport`] are judged.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionContext<'a> {
    /// The prefixes in force.
    pub admission: &'a Admission,
    /// The prefixes of `firewall.extra`.
    pub extra: &'a [IpNet],
    /// The prefixes of openings.
    pub opened: &'a [IpNet],
    /// Whether an authenticated address outside of every prefix is trusted for a time.
    pub trusting: bool,
    /// Seconds of the monotonic clock.
    pub now: u64,
}

impl PeersReport {
    /// Judges `readings`, in their order. `sites` are the names for which the site marks of peers
    /// may stand.
    #[must_use]
    pub fn of(readings: &[PeerEntry], sites: &[String], judged: &AdmissionContext<'_>) -> Self {
        let names: HashMap<u64, &String> = sites.iter().map(|name| (site_id(name), name)).collect();
        let sources = Sources::new(judged.extra, judged.opened);
        let trusted = |reading: &PeerEntry| {
            if judged.trusting { reading.facts.trusted_until } else { 0 }
        };
        let known = |reading: &PeerEntry| {
            KnownPeer::judge(peer(reading, &names), trusted(reading), judged, &sources)
        };
        Self { peers: readings.iter().map(known).collect(), total: readings.len() }
    }

    /// The record of a process without maps: `peers` are the latest of `total`.
    #[must_use]
    pub fn in_memory(peers: Vec<PeerStatus>, total: usize, judged: &AdmissionContext<'_>) -> Self {
        let sources = Sources::new(judged.extra, judged.opened);
        let known = |peer| KnownPeer::judge(peer, 0, judged, &sources);
        Self { peers: peers.into_iter().map(known).collect(), total }
    }
}

impl KnownPeer {
    fn judge(
        peer: PeerStatus,
        trusted_until: u64,
        judged: &AdmissionContext<'_>,
        sources: &Sources<'_>,
    ) -> Self {
        let left = |until: u64| until.checked_sub(judged.now).filter(|left| *left > 0);
        let found = judged.admission.longest(peer.address);
        let by_prefix = found.and_then(|(prefix, entry)| {
            let source = sources.of(&prefix, entry);
            let ends = match source {
                Source::Draining => Some(left(entry.drains_until.into())?),
                Source::List | Source::Extra | Source::Opening => None,
            };
            Some((source.name(), Some(prefix.to_string()), ends))
        });
        let judgement =
            by_prefix.or_else(|| left(trusted_until).map(|left| ("trusted", None, Some(left))));
        let (admitted_by, prefix, ends_seconds) = match judgement {
            Some((by, prefix, ends)) => (Some(by.to_owned()), prefix, ends),
            None => (None, None, None),
        };
        Self { peer, admitted_by, prefix, ends_seconds }
    }
}

#[cfg(test)]
mod tests {
    use aop_common::layout::Prefix;

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
        let mut judged = AdmissionContext {
            admission: &admission,
            extra: &extra,
            opened: &opened,
            trusting: true,
            now: NOW,
        };
        let told = |judged: &AdmissionContext<'_>| -> Vec<(Option<String>, Option<u64>)> {
            let peers = PeersReport::of(&readings, &["a".to_owned()], judged).peers;
            assert!(peers.iter().all(|peer| peer.peer.site.as_deref() == Some("a")));
            peers.into_iter().map(|peer| (peer.admitted_by, peer.ends_seconds)).collect()
        };
        let by = |name: &str, ends| (Some(name.to_owned()), ends);
        let expected = [
            by("list", None),
            by("extra", None),
            by("opening", None),
            by("draining", Some(60)),
            (None, None),
            by("trusted", Some(1)),
            (None, None),
        ];
        assert_eq!(told(&judged), expected);
        judged.trusting = false;
        assert_eq!(told(&judged)[5], (None, None));
    }
}
