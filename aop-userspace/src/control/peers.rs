//! Every peer on record: the answer of `aop peers`. Its names are stable: fields are added, never
//! renamed.

use std::collections::HashMap;

use aop_common::layout::site_id;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    admitted::{Source, Sources},
    report::{Peer, peer},
};
use crate::{firewall::PeerReading, prefixes::Admission};

/// All authenticated peers that are remembered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peers {
    /// Who was seen last comes first.
    pub peers: Vec<KnownPeer>,
    /// How many are remembered. Where the firewall is off, the latest thousand of them are listed.
    pub total: usize,
}

/// An authenticated peer, and how it stands now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownPeer {
    /// What is remembered of it.
    #[serde(flatten)]
    pub peer: Peer,
    /// What admits it now: `list`, `extra`, `opening`, `draining` (it has authenticated, and its prefix
    /// has left the list) or `trusted` (it has authenticated, and strangers are given a try); `null`
    /// where nothing does, and enforcing drops its packets.
    pub admitted_by: Option<String>,
    /// The prefix that admits it; `null` where none does.
    pub prefix: Option<String>,
    /// Seconds until that ends by itself; `null` where it does not. An opening's end stands in the
    /// status.
    pub ends_seconds: Option<u64>,
}

/// Who is admitted, as [`Peers`] are judged by it.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The prefixes in force.
    pub admission: &'a Admission,
    /// The operator's own ones.
    pub extra: &'a [IpNet],
    /// Those that are open for a time.
    pub opened: &'a [IpNet],
    /// Whether who has authenticated is trusted for a while outside of any prefix.
    pub trusting: bool,
    /// Seconds of the monotonic clock.
    pub now: u64,
}

impl Peers {
    /// `readings`, in their order, under `judged`; `sites` are the names that their marks may stand
    /// for.
    #[must_use]
    pub fn of(readings: &[PeerReading], sites: &[String], judged: &Judged<'_>) -> Self {
        let names: HashMap<u64, &String> = sites.iter().map(|name| (site_id(name), name)).collect();
        let sources = Sources::new(judged.extra, judged.opened);
        let trusted = |reading: &PeerReading| {
            if judged.trusting { reading.facts.trusted_until } else { 0 }
        };
        let known = |reading: &PeerReading| {
            KnownPeer::judge(peer(reading, &names), trusted(reading), judged, &sources)
        };
        Self { peers: readings.iter().map(known).collect(), total: readings.len() }
    }

    /// What a process without maps remembers: `total` peers, of which it tells these.
    #[must_use]
    pub fn in_memory(peers: Vec<Peer>, total: usize, judged: &Judged<'_>) -> Self {
        let sources = Sources::new(judged.extra, judged.opened);
        let known = |peer| KnownPeer::judge(peer, 0, judged, &sources);
        Self { peers: peers.into_iter().map(known).collect(), total }
    }
}

impl KnownPeer {
    fn judge(peer: Peer, trusted_until: u64, judged: &Judged<'_>, sources: &Sources<'_>) -> Self {
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
    fn each_peer_is_told_with_what_admits_it_now() {
        let net = |text: &str| text.parse::<IpNet>().expect("a CIDR");
        let drains = |drains_until| Prefix { drains_until };
        let admission = Admission::from_entries(vec![
            (net("192.0.2.0/24"), Prefix::ADMITTED),
            (net("198.51.100.0/24"), Prefix::ADMITTED),
            (net("198.51.100.8/32"), Prefix::ADMITTED),
            (net("203.0.113.0/25"), drains(1060)),
            (net("203.0.113.128/25"), drains(1000)),
        ]);
        let reading = |(address, trusted_until): (&str, u64)| PeerReading {
            address: address.parse().expect("an address"),
            facts: aop_common::layout::PeerRecord::seen(None, 7, "a", trusted_until),
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
        let mut judged = Judged {
            admission: &admission,
            extra: &extra,
            opened: &opened,
            trusting: true,
            now: NOW,
        };
        let told = |judged: &Judged<'_>| -> Vec<(Option<String>, Option<u64>)> {
            let peers = Peers::of(&readings, &["a".to_owned()], judged).peers;
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
