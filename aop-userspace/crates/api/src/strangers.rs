//! The sources that no prefix admits, over days: the answer of `aop strangers`.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ActionName, AdmissionContext, AdmissionSource, names::stable_names};

/// Every stranger on record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangersReport {
    /// The sources, those of most packets first.
    pub sources: Vec<StrangerStatus>,
    /// `firewall.extra` as it would be with the known sources of this report.
    pub extra: Vec<String>,
    /// Packets of sources that are no longer listed, because they are old, or there are too many.
    pub unlisted_packets: u64,
    /// Packets that were counted, and not recorded by source: too many came at once, or the source
    /// could not be read.
    pub unrecorded_packets: u64,
}

/// A source that no prefix admitted when it sent, and the port that it sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangerStatus {
    /// An address, or the CIDR of a network with many.
    pub source: String,
    /// The guarded port; `null` where it cannot be known, as of a fragment.
    pub port: Option<u16>,
    /// Packets that were recorded.
    pub packets: u64,
    /// Those of them that ask for a new connection.
    pub connections: u64,
    /// Addresses of a network: at most so many, since one that came back counts again.
    pub addresses: u64,
    /// When the first packet came.
    pub first_seen: Timestamp,
    /// When the last packet came.
    pub last_seen: Timestamp,
    /// The action for the last packet.
    pub action: ActionName,
    /// The reason of the last packet, from the table of packet reasons.
    pub reason: String,
    /// Seconds between its connections, if they come at regular intervals.
    pub every_seconds: Option<u64>,
    /// The rule that admits it by now; `null` if none does.
    pub admitted_by: Option<AdmissionSource>,
    /// The kind of the source, if it is known; else `null`.
    pub known: Option<StrangerKind>,
}

stable_names! {
    /// The kind of a stranger.
    StrangerKind {
        /// It has authenticated: an edge that the list lacks.
        Authenticated = "authenticated",
        /// Its prefix has left the list, and still admits its authenticated peers.
        Draining = "draining",
        /// It is in Cloudflare's published list as this version of aop knows it.
        Cdn = "cdn",
        /// A private address: RFC 1918, RFC 6598, unique local or link-local.
        Private = "private",
        /// It opens connections at regular intervals, as a monitor does.
        Regular = "regular",
    }
}

impl StrangerKind {
    /// Its meaning, to follow an address.
    #[must_use]
    pub fn meaning(&self) -> &str {
        match self {
            Self::Authenticated => "it has authenticated: an edge that the list lacks",
            Self::Draining => "its prefix left the list",
            Self::Cdn => "in Cloudflare's published list, but not in yours",
            Self::Private => "a private address",
            Self::Regular => "at regular intervals, as from a monitor",
            Self::Unknown(name) => name,
        }
    }
}

/// The knowledge of this host about sources.
pub struct StrangerContext<'a> {
    /// The prefixes in force.
    pub admission: AdmissionContext<'a>,
    /// `firewall.extra`.
    pub extra: &'a [IpNet],
    /// Whether a peer has authenticated from an address.
    pub authenticated: &'a dyn Fn(IpAddr) -> bool,
    /// The prefixes that the CDN has published.
    pub published: &'a [IpNet],
}

impl StrangerContext<'_> {
    /// The rule that admits `source` now, and else what is known about it. `every` is the interval
    /// of its connections, if that is regular.
    #[must_use]
    pub fn classify(
        &self,
        source: IpNet,
        every: Option<u64>,
    ) -> (Option<AdmissionSource>, Option<StrangerKind>) {
        let regular = every.map(|_| StrangerKind::Regular);
        let single = source.prefix_len() == source.max_prefix_len();
        if !single {
            return (None, is_private(source).then_some(StrangerKind::Private));
        }
        let admitted = self.admission.longest(source.addr()).map(|(_, by, _)| by);
        let drains = admitted == Some(AdmissionSource::Draining);
        if let Some(by) = admitted.filter(|_| !drains) {
            return (Some(by), None);
        }
        let published = || self.published.iter().any(|prefix| prefix.contains(&source));
        let kind = if (self.authenticated)(source.addr()) {
            Some(StrangerKind::Authenticated)
        } else if drains {
            Some(StrangerKind::Draining)
        } else if published() {
            Some(StrangerKind::Cdn)
        } else if is_private(source) {
            Some(StrangerKind::Private)
        } else {
            regular
        };
        (None, kind)
    }
}

impl StrangersReport {
    /// Keeps the sources that were seen since `time` ago, and proposes only those of them for
    /// `firewall.extra`.
    #[must_use]
    pub fn since(mut self, time: Duration, now: Timestamp) -> Self {
        let proposals = |sources: &[StrangerStatus]| -> HashSet<String> {
            sources.iter().filter(|it| it.is_proposed()).map(StrangerStatus::cidr).collect()
        };
        let before = proposals(&self.sources);
        self.sources.retain(|it| now.duration_since(it.last_seen).unsigned_abs() <= time);
        let after = proposals(&self.sources);
        self.extra.retain(|cidr| !before.contains(cidr) || after.contains(cidr));
        self
    }
}

impl StrangerStatus {
    /// The source as `firewall.extra` takes it.
    #[must_use]
    pub fn cidr(&self) -> String {
        match self.source.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address).to_string(),
            Err(_) => self.source.clone(),
        }
    }

    /// Whether it may belong into `firewall.extra`: something is known about it, and its prefix has
    /// not just left the list.
    #[must_use]
    pub fn is_proposed(&self) -> bool {
        match self.known {
            Some(
                StrangerKind::Authenticated
                | StrangerKind::Cdn
                | StrangerKind::Private
                | StrangerKind::Regular,
            ) => true,
            Some(StrangerKind::Draining | StrangerKind::Unknown(_)) | None => false,
        }
    }
}

/// RFC 1918, RFC 6598 (shared by carriers and overlay networks), unique local and link-local.
fn is_private(network: IpNet) -> bool {
    match network.addr() {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_private() || address.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use aop_common::layout::Prefix;
    use aop_types::Admission;

    use super::*;

    fn net(text: &str) -> IpNet {
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| single()).expect("a network")
    }

    #[test]
    fn a_source_is_known_by_what_this_host_knows_of_it() {
        let admission = Admission::from_entries(vec![
            (net("192.0.2.0/24"), Prefix::ADMITTED),
            (net("203.0.113.0/24"), Prefix { drains_until: 1060 }),
        ]);
        let (extra, published) = ([net("192.0.2.0/24")], [net("173.245.48.0/20")]);
        let context = StrangerContext {
            admission: AdmissionContext::new(&admission, &extra, &[], 1000),
            extra: &extra,
            authenticated: &|address| address == net("198.51.100.9").addr(),
            published: &published,
        };
        let known = |text: &str, every| context.classify(net(text), every);
        assert_eq!(known("192.0.2.7", Some(60)), (Some(AdmissionSource::Extra), None));
        let kind = |text: &str, every| known(text, every).1;
        assert_eq!(kind("198.51.100.9", None), Some(StrangerKind::Authenticated));
        assert_eq!(kind("203.0.113.1", None), Some(StrangerKind::Draining));
        assert_eq!(kind("173.245.48.7", None), Some(StrangerKind::Cdn));
        for private in ["10.1.2.3", "172.31.0.1", "192.168.1.1", "100.127.0.1", "fd00::1"] {
            assert_eq!(kind(private, None), Some(StrangerKind::Private), "{private}");
        }
        assert_eq!(kind("10.0.0.0/24", None), Some(StrangerKind::Private));
        assert_eq!(kind("198.51.100.8", Some(60)), Some(StrangerKind::Regular));
        for nothing in ["198.51.100.8", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
            assert_eq!(known(nothing, None), (None, None), "{nothing}");
        }
    }

    #[test]
    fn older_sources_leave_the_report_and_its_proposal() {
        let at = |second| Timestamp::from_second(second).expect("a moment");
        let source = |source: &str, last| StrangerStatus {
            source: source.to_owned(),
            port: Some(443),
            packets: 1,
            connections: 1,
            addresses: 1,
            first_seen: at(0),
            last_seen: at(last),
            action: ActionName::WouldDrop,
            reason: "unknown_source".to_owned(),
            every_seconds: None,
            admitted_by: None,
            known: Some(StrangerKind::Private),
        };
        let report = StrangersReport {
            sources: vec![source("10.0.0.1", 100), source("10.0.0.2", 50)],
            extra: ["192.0.2.0/24", "10.0.0.1/32", "10.0.0.2/32"].map(str::to_owned).to_vec(),
            ..StrangersReport::default()
        };
        let late = report.clone().since(Duration::from_secs(10), at(110));
        assert_eq!(late.sources, [source("10.0.0.1", 100)]);
        assert_eq!(late.extra, ["192.0.2.0/24", "10.0.0.1/32"]);
        assert_eq!(report.clone().since(Duration::from_secs(60), at(110)), report);
    }
}
