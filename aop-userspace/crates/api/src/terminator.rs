//! What the terminator process is told, and what it answers.

use std::path::PathBuf;

use aop_common::{Mode, layout::Prefix};
use aop_types::{Admission, Modes};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Bytes;
use crate::{Handshakes, Identities, Identity, LastObserved, Peer, Requests, UpstreamReport};

/// A demand, and the number that its answer carries.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub ask: Ask,
}

/// What is demanded. All but [`Ask::Drain`] are done and answered in the order of their coming.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Tell what the kernel fences in. Asked first, when no peer has been heard yet.
    Fence,
    /// Make a configuration ready, and change nothing yet.
    Prepare(Bundle),
    /// Serve what was prepared. The listening sockets come along, and before them, where a firewall
    /// is to learn who authenticated, the maps of peers, of hints at them, and of networks. What an
    /// earlier terminator saw is gone on with.
    Serve { rules: AddressRules, pinned: bool, known: Identities },
    /// Replace what is served by what was prepared.
    Commit(AddressRules),
    /// Judge addresses by these from now on, and have sites observe by them.
    Admit(AddressRules),
    /// Tell how things stand.
    Report,
    /// Stop listening at once, and let open connections end within so many milliseconds.
    Drain { patience: u64 },
}

/// A configuration with the files that its sites name.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bundle {
    file: Bytes,
    text: String,
    files: Vec<(Bytes, Bytes)>,
}

/// What addresses are judged by, and which sites observe, or do not, against their configuration.
#[derive(Debug, Serialize, Deserialize)]
pub struct AddressRules {
    /// Who is admitted, and who drains until when (seconds of the monotonic clock).
    members: Vec<(IpNet, u32)>,
    /// Whether the general mode is to observe; the same for ports and interfaces that have their own.
    observes: bool,
    ports: Vec<(u16, bool)>,
    interfaces: Vec<(String, bool)>,
    sites: Vec<(String, bool)>,
}

/// An answer, and the number of its demand.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub id: u64,
    pub said: Said,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    /// The kernel's ABI of Landlock, where it has any.
    Fence { landlock: Option<i32> },
    /// It is done.
    Done,
    /// It is not, and nothing has changed.
    Refused(String),
    /// How things stand.
    Report(Box<Report>),
    /// All connections have ended, this many of them by force.
    Drained { cut: usize },
}

/// How the terminator stands.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Connections that are open now.
    pub open: u64,
    /// How many pulls with the right certificate were served, by site, this host's own left out.
    pub served: Vec<(String, u64)>,
    pub handshakes: Handshakes,
    pub requests: Requests,
    pub upstreams: Vec<UpstreamReport>,
    /// The client certificates that were presented, for each site of the configuration in force.
    pub identities: Identities,
    /// The peers in memory, where no firewall keeps them.
    pub peers: Vec<Peer>,
    pub peers_total: usize,
}

impl Bundle {
    pub fn new(
        file: PathBuf,
        text: String,
        files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
    ) -> Self {
        let files = files.into_iter().map(|(path, bytes)| (Bytes::of_path(&path), Bytes(bytes)));
        Self { file: Bytes::of_path(&file), text, files: files.collect() }
    }

    /// How many files come along.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// The configuration's file, its text, and the files that it names.
    pub fn open(self) -> (PathBuf, String, impl Iterator<Item = (PathBuf, Vec<u8>)>) {
        let files = self.files.into_iter().map(|(path, Bytes(bytes))| (path.into_path(), bytes));
        (self.file.into_path(), self.text, files)
    }
}

impl Report {
    /// The same, for a terminal: who has taken over a terminator could write there what it likes.
    pub fn printable(mut self) -> Self {
        // What moves a cursor or turns the direction of writing; quotes and escapes are only text.
        let unfit = |character: char| {
            !matches!(character, '"' | '\'' | '\\') && character.escape_debug().len() > 1
        };
        let clean = |text: &mut String| {
            if text.contains(unfit) {
                *text = text.replace(unfit, "\u{fffd}");
            }
        };
        let Handshakes {
            refused,
            refused_from_admitted,
            refused_lately,
            observed,
            observed_from_admitted,
            observed_lately,
            last_observed,
            ..
        } = &mut self.handshakes;
        for peer in refused_lately {
            [&mut peer.site, &mut peer.reason].into_iter().for_each(clean);
            peer.admitted_by.iter_mut().for_each(clean);
        }
        for LastObserved { site, reason, presented, .. } in last_observed {
            [site, reason].into_iter().for_each(clean);
            presented.iter_mut().for_each(clean);
        }
        let refused = refused.iter_mut().chain(refused_from_admitted);
        let refused = refused.chain(observed).chain(observed_from_admitted).chain(observed_lately);
        for refused in refused.chain(&mut self.requests.refused) {
            [&mut refused.site, &mut refused.reason].into_iter().for_each(clean);
        }
        for UpstreamReport { site, upstream, error, .. } in &mut self.upstreams {
            [site, upstream].into_iter().for_each(clean);
            error.iter_mut().for_each(clean);
        }
        for known in &mut self.identities.sites {
            clean(&mut known.site);
            for identity in &mut known.identities {
                let Identity { site, subject, issuer, spki_sha256, serial, .. } = identity;
                [site, subject, issuer, spki_sha256, serial].into_iter().for_each(clean);
                clean(&mut identity.level);
                identity.client_ca.iter_mut().for_each(clean);
            }
        }
        self.peers.iter_mut().filter_map(|peer| peer.site.as_mut()).for_each(clean);
        self
    }
}

impl AddressRules {
    pub fn of(admission: &Admission, modes: &Modes) -> Self {
        let observes = |mode: &Mode| *mode == Mode::Observe;
        let members = admission.entries().iter();
        let interfaces = modes.interfaces.iter();
        Self {
            members: members.map(|(net, entry)| (*net, entry.drains_until)).collect(),
            observes: observes(&modes.general),
            ports: modes.ports.iter().map(|(port, mode)| (*port, observes(mode))).collect(),
            interfaces: interfaces.map(|(name, mode)| (name.clone(), observes(mode))).collect(),
            sites: modes.sites.iter().map(|(name, mode)| (name.clone(), observes(mode))).collect(),
        }
    }

    pub fn open(self) -> (Admission, Modes) {
        let mode = |observes| if observes { Mode::Observe } else { Mode::Enforce };
        let members = self.members.into_iter();
        let member = |(net, drains_until)| (net, Prefix { drains_until });
        let interfaces = self.interfaces.into_iter();
        let modes = Modes {
            general: mode(self.observes),
            ports: self.ports.into_iter().map(|(port, own)| (port, mode(own))).collect(),
            interfaces: interfaces.map(|(name, own)| (name, mode(own))).collect(),
            sites: self.sites.into_iter().map(|(name, own)| (name, mode(own))).collect(),
        };
        (Admission::from_entries(members.map(member).collect()), modes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Refused, RefusedPeer, SiteIdentities};

    #[test]
    fn nothing_in_a_report_can_steer_a_terminal() {
        let bad = "\u{1b}[31m";
        let moment = jiff::Timestamp::UNIX_EPOCH;
        let identity = Identity {
            site: bad.into(),
            subject: bad.into(),
            issuer: bad.into(),
            spki_sha256: bad.into(),
            serial: bad.into(),
            not_before: moment,
            not_after: moment,
            level: bad.into(),
            client_ca: Some(bad.into()),
            first_seen: moment,
            last_seen: moment,
            pulls: 1,
        };
        let site = SiteIdentities { site: bad.into(), identities: vec![identity], forgotten: 0 };
        let refused = Refused { site: bad.into(), reason: bad.into(), count: 1 };
        let upstream = UpstreamReport {
            site: bad.into(),
            upstream: bad.into(),
            good: Some(false),
            error: Some(bad.into()),
        };
        let peer = Peer {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            site: Some(bad.into()),
            handshakes: 1,
            first_seen: moment,
            last_seen: moment,
        };
        let refused_peer = RefusedPeer {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            admitted_by: Some(bad.into()),
            site: bad.into(),
            reason: bad.into(),
            count: 1,
            last_seen: moment,
        };
        let report = Report {
            handshakes: Handshakes {
                refused: vec![refused.clone()],
                refused_from_admitted: vec![refused.clone()],
                refused_lately: vec![refused_peer],
                observed: vec![refused.clone()],
                observed_from_admitted: vec![refused.clone()],
                observed_lately: vec![refused],
                last_observed: vec![LastObserved {
                    site: bad.into(),
                    reason: bad.into(),
                    address: std::net::Ipv4Addr::LOCALHOST.into(),
                    presented: Some(bad.into()),
                    at: moment,
                }],
                ..Handshakes::default()
            },
            identities: Identities { sites: vec![site] },
            peers: vec![peer],
            upstreams: vec![upstream],
            ..Report::default()
        };
        let told = serde_json::to_string(&report.printable()).expect("JSON");
        assert_eq!(told.matches("\u{fffd}[31m").count(), 28, "{told}");
        assert!(!told.contains("u001b"), "{told}");
    }

    #[test]
    fn modes_and_a_hundred_thousand_prefixes_come_over_as_they_were() {
        let net = |n: u32| IpNet::new(std::net::Ipv4Addr::from_bits(n << 8).into(), 24);
        let list: Vec<IpNet> = (0..100_000).map(|n| net(n).expect("a CIDR")).collect();
        let drains = |(at, net): (u32, IpNet)| (net, Prefix { drains_until: u32::MAX - at % 2 });
        let admission = Admission::from_entries((0..).zip(list).map(drains).collect());
        let mut modes = Modes::from(Mode::Observe);
        modes.ports.insert(443, Mode::Enforce);
        modes.interfaces.insert("eth0".to_owned(), Mode::Observe);
        modes.sites.insert("example.com".to_owned(), Mode::Enforce);
        let text = serde_json::to_vec(&AddressRules::of(&admission, &modes)).expect("JSON");
        let rules: AddressRules = serde_json::from_slice(&text).expect("rules");
        assert_eq!(rules.open(), (admission, modes));
    }
}
