//! The messages between the daemon and the terminator process.
//!
//! The daemon sends commands and the terminator answers each; both are the same build, except for
//! a draining predecessor. The daemon does not trust the texts in answers,
//! and reads them as `Cleaned`.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use aop_common::layout::Prefix;
use aop_types::{Admission, Modes};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{ByteString, Handshakes, PeerStatus, Requests, SeenIdentities, UpstreamReport};

/// A request, and the number that its answer carries.
#[derive(Debug, Serialize, Deserialize)]
pub struct CommandEnvelope {
    /// The number; never reused while an answer is due.
    pub id: u64,
    /// The request.
    pub ask: Command,
}

/// The requests. The configuration of [`Command::Prepare`] is built in the background, and
/// [`Command::Drain`] is answered when it is complete; all others are carried out and answered in
/// order.
#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    /// Describe the sandbox. Sent first, before the process has read a byte from a peer.
    Fence,
    /// Build a configuration without serving it.
    Prepare(ConfigBundle),
    /// Serve the prepared configuration. The listening sockets come with this request; before them,
    /// if `pinned`, the maps of peers, of hints at peers, and of networks, so that the firewall
    /// learns of authenticated peers. `known` are the identities that an earlier terminator saw.
    Serve {
        /// The admitted addresses, and the modes.
        rules: AddressPolicy,
        /// Whether the maps come with this request.
        pinned: bool,
        /// The identities with which the counters start.
        known: SeenIdentities,
    },
    /// Serve the prepared configuration instead of the current one.
    Commit(AddressPolicy),
    /// Replace the admitted prefixes and the modes, also those of sites.
    Admit(AddressPolicy),
    /// Report counters and state.
    Report,
    /// Answer once every worker thread has run a task.
    Ping,
    /// Stop listening at once, and close connections that are still open after this many
    /// milliseconds.
    Drain {
        /// Milliseconds until then.
        patience: u64,
    },
}

/// A configuration with the files that its sites name.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConfigBundle {
    file: ByteString,
    text: String,
    /// Each file, and the place of its content in `contents`.
    files: Vec<(ByteString, usize)>,
    /// Sites often share a revocation list, which may be long: each content is sent once.
    contents: Vec<ByteString>,
}

/// The admitted prefixes, the modes in force, and the mode overrides of sites.
#[derive(Debug, Serialize, Deserialize)]
pub struct AddressPolicy {
    /// Admitted prefixes, with the end of draining in seconds of the monotonic clock.
    members: Vec<(IpNet, u32)>,
    modes: Modes,
}

/// The most characters of a string in an answer. The daemon receives answers as [`Cleaned`]: a
/// compromised terminator process could put control characters into any string.
///
/// [`Cleaned`]: aop_types::Cleaned
pub const MAX_TEXT: usize = 4096;

/// An answer, and the number of its request.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplyEnvelope {
    /// The number of the request.
    pub id: u64,
    /// The answer.
    pub said: Reply,
}

/// The contents of an answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The sandbox.
    Fence {
        /// The kernel's ABI version of Landlock, if it has Landlock.
        landlock: Option<i32>,
    },
    /// The request was carried out.
    Done,
    /// The request failed for this reason, and nothing has changed.
    Refused(String),
    /// Counters and state.
    Report(Box<TerminatorSnapshot>),
    /// All connections have ended.
    Drained {
        /// How many were closed at the deadline.
        cut: usize,
    },
}

/// Counters and state of the terminator.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TerminatorSnapshot {
    /// Connections that are open now.
    pub open: u64,
    /// Authenticated pulls that were served, by site, without those from this host itself.
    pub served: Vec<(String, u64)>,
    /// Connections, by their result.
    pub handshakes: Handshakes,
    /// Requests, by their result.
    pub requests: Requests,
    /// The upstreams that are checked.
    pub upstreams: Vec<UpstreamReport>,
    /// The client certificates that were presented, for each site of the active configuration.
    pub identities: SeenIdentities,
    /// The peers in memory, if the firewall is off.
    pub peers: Vec<PeerStatus>,
    /// How many peers are in memory; `peers` are the latest of them.
    pub peers_total: usize,
}

impl ConfigBundle {
    /// The configuration `text` from the path `file`, and the contents of the files that it names.
    pub fn new(
        file: PathBuf,
        text: String,
        files: impl IntoIterator<Item = (PathBuf, Arc<[u8]>)>,
    ) -> Self {
        let (mut places, mut contents) = (HashMap::new(), Vec::new());
        let files = files.into_iter().map(|(path, bytes)| {
            let place = *places.entry(bytes).or_insert_with_key(|bytes| {
                contents.push(ByteString(bytes.to_vec()));
                contents.len() - 1
            });
            (ByteString::of_path(&path), place)
        });
        let files = files.collect();
        Self { file: ByteString::of_path(&file), text, files, contents }
    }

    /// The number of files of the sites.
    #[must_use]
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// The path of the configuration, its text, and the files that it names. A file whose content
    /// is missing is left out.
    pub fn open(self) -> (PathBuf, String, impl Iterator<Item = (PathBuf, Arc<[u8]>)>) {
        let contents: Vec<Arc<[u8]>> =
            self.contents.into_iter().map(|ByteString(bytes)| bytes.into()).collect();
        let files = self.files.into_iter();
        let files =
            files.filter_map(move |(path, at)| Some((path.into_path(), contents.get(at)?.clone())));
        (self.file.into_path(), self.text, files)
    }
}

impl AddressPolicy {
    /// The message for these prefixes and modes.
    #[must_use]
    pub fn of(admission: &Admission, modes: &Modes) -> Self {
        let members = admission.entries().iter();
        let members = members.map(|(net, entry)| (*net, entry.drains_until)).collect();
        Self { members, modes: modes.clone() }
    }

    /// The prefixes and modes of the message.
    #[must_use]
    pub fn open(self) -> (Admission, Modes) {
        let member = |(net, drains_until)| (net, Prefix { drains_until });
        let members = self.members.into_iter().map(member).collect();
        (Admission::from_entries(members), self.modes)
    }
}

#[cfg(test)]
mod tests {
    use aop_common::Mode;
    use aop_types::Cleaned;

    use super::*;
    use crate::{
        AdmissionSource, LastObserved, RefusalCount, RefusedPeer, SeenIdentity, SiteIdentities,
    };

    #[test]
    fn no_string_of_a_report_can_control_a_terminal() {
        let bad = "\u{1b}[31m";
        let moment = jiff::Timestamp::UNIX_EPOCH;
        let identity = SeenIdentity {
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
            roll: None,
        };
        let site = SiteIdentities { site: bad.into(), identities: vec![identity], forgotten: 0 };
        let refused = RefusalCount { site: bad.into(), reason: bad.into(), count: 1 };
        let upstream = UpstreamReport {
            site: bad.into(),
            upstream: bad.into(),
            good: Some(false),
            error: Some(bad.into()),
        };
        let peer = PeerStatus {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            site: Some(bad.into()),
            handshakes: 1,
            first_seen: moment,
            last_seen: moment,
        };
        let refused_peer = RefusedPeer {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            admitted_by: Some(AdmissionSource::from(bad)),
            site: bad.into(),
            reason: bad.into(),
            count: 1,
            last_seen: moment,
        };
        let report = TerminatorSnapshot {
            handshakes: Handshakes {
                refused: vec![refused.clone()],
                refused_from_admitted: vec![refused.clone()],
                refused_from_this_host: vec![refused.clone()],
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
            identities: SeenIdentities { sites: vec![site] },
            peers: vec![peer],
            upstreams: vec![upstream],
            ..TerminatorSnapshot::default()
        };
        let sent = serde_json::to_string(&report).expect("JSON");
        let received: Cleaned<TerminatorSnapshot, MAX_TEXT> =
            serde_json::from_str(&sent).expect("a report");
        let text = serde_json::to_string(&received.0).expect("JSON");
        assert_eq!(text.matches(r"\\u{1b}[31m").count(), 30, "{text}");
        assert!(!text.contains("u001b"), "{text}");
    }

    #[test]
    fn files_of_one_content_are_sent_once_and_received_under_their_paths() {
        let content = |byte: u8| -> Arc<[u8]> { vec![byte; 1000].into() };
        let files = |count: u8, same: bool| {
            let file = move |n| {
                let path = PathBuf::from(format!("/etc/{n}.crl"));
                (path, content(if same { b'x' } else { b'a' + n }))
            };
            (0..count).map(file)
        };
        let bundle = |count, same| {
            ConfigBundle::new("/etc/aop.toml".into(), "text".into(), files(count, same))
        };
        let sent = |same| serde_json::to_string(&bundle(20, same)).expect("JSON");
        assert!(sent(true).len() < 2000 && sent(false).len() > 20_000);

        let received: ConfigBundle = serde_json::from_str(&sent(true)).expect("a bundle");
        let received: Vec<_> = received.open().2.collect();
        assert!(received.iter().cloned().eq(files(20, true)));
        assert!(received.iter().all(|(_, bytes)| Arc::ptr_eq(bytes, &received[0].1)));
    }

    #[test]
    fn modes_and_a_hundred_thousand_prefixes_survive_the_round_trip() {
        let net = |n: u32| IpNet::new(std::net::Ipv4Addr::from_bits(n << 8).into(), 24);
        let list: Vec<IpNet> = (0..100_000).map(|n| net(n).expect("a CIDR")).collect();
        let drains = |(at, net): (u32, IpNet)| (net, Prefix { drains_until: u32::MAX - at % 2 });
        let admission = Admission::from_entries((0..).zip(list).map(drains).collect());
        let mut modes = Modes::from(Mode::Observe);
        modes.ports.insert(443, Mode::Enforce);
        modes.interfaces.insert("eth0".to_owned(), Mode::Observe);
        modes.sites.insert("example.com".to_owned(), Mode::Enforce);
        let text = serde_json::to_vec(&AddressPolicy::of(&admission, &modes)).expect("JSON");
        let rules: AddressPolicy = serde_json::from_slice(&text).expect("rules");
        assert_eq!(rules.open(), (admission, modes));
    }
}
