//! The status document. Its names are stable: fields are added, never renamed.

use std::{collections::HashMap, net::IpAddr};

use aop_common::layout::site_id;
use aop_types::PeerReading;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ends::End,
    lately::RefusedPeer,
    modes::Modes,
    observed::LastObserved,
    opening::Opening,
    processes::{DaemonReport, Predecessor, TerminatorReport},
    reloaded::Reloaded,
};

/// Peers that one document shows; the latest ones.
pub const MAX_PEERS_SHOWN: usize = 1000;

/// Everything `aop status` knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The version of aop that answers.
    pub version: String,
    /// The daemon, or `null` where none runs and the pinned maps speak alone.
    pub daemon: Option<DaemonReport>,
    /// The terminator process, or `null` where none runs.
    #[serde(default)]
    pub terminator: Option<TerminatorReport>,
    /// The last reload; `null` where there was none since the daemon started.
    #[serde(default)]
    pub last_reload: Option<Reloaded>,
    /// Daemons that an upgrade has replaced, and in which connections go on.
    #[serde(default)]
    pub predecessors: Vec<Predecessor>,
    /// Networks that `aop open` has admitted for a time.
    #[serde(default)]
    pub openings: Vec<Opening>,
    /// The general mode: `enforce`, `observe` or `off`.
    pub mode: String,
    /// Where it is another, and why it is what it is.
    pub modes: Modes,
    /// The guarded interfaces.
    pub interfaces: Vec<Interface>,
    /// The admitted prefixes.
    pub prefixes: Prefixes,
    /// The packet counters that are not zero.
    pub verdicts: Vec<Verdict>,
    /// The terminator's counters.
    pub handshakes: Handshakes,
    /// What became of requests, on sites whose upstream takes requests.
    #[serde(default)]
    pub requests: Requests,
    /// The upstreams of sites that have an `upstream_check`.
    #[serde(default)]
    pub upstreams: Vec<UpstreamReport>,
    /// Authenticated peers, the latest first, at most [`MAX_PEERS_SHOWN`].
    pub peers: Vec<Peer>,
    /// How many authenticated peers are remembered.
    pub peers_total: usize,
    /// The client certificates that were really presented.
    pub identities: Vec<Identity>,
    /// What ends next, the soonest first, at most [`MAX_ENDS`](super::MAX_ENDS).
    #[serde(default)]
    pub ends: Vec<End>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A guarded interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `native` or `generic`; `null` where it is not attached.
    pub attach: Option<String>,
    /// `attached`; `missing` where the interface does not exist; `foreign` where another XDP program
    /// has it; `detached` where it runs none.
    pub state: String,
    /// Whether the packet program runs on it.
    pub attached: bool,
    /// Whether all that is to be dropped is dropped: it is attached, and enforces for every guarded
    /// port.
    pub enforcing: bool,
}

/// The admitted prefixes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Prefixes {
    /// `cloudflare`, `inline`, a URL or a path; `null` where no daemon knows.
    pub source: Option<String>,
    /// Where the list was found: `fetched`, `stored`, `snapshot`, `file`, `inline` or `nowhere`.
    pub origin: Option<String>,
    /// The name that the source gives to this edition of the list.
    pub etag: Option<String>,
    /// IPv4 prefixes, the operator's extra ones included.
    pub v4: usize,
    /// IPv6 prefixes.
    pub v6: usize,
    /// Prefixes that left the list and still admit their authenticated peers.
    pub draining: usize,
    /// Seconds since the list was last confirmed by its source; `null` where no daemon knows, or
    /// where the source has never answered.
    pub age_seconds: Option<u64>,
    /// Seconds until the source is asked again; `null` where it is not.
    pub next_refresh_seconds: Option<u64>,
    /// Why the last refresh was refused; `null` where it was not.
    pub last_error: Option<String>,
    /// Counts the lists that have been applied.
    pub generation: u32,
}

/// A packet counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The interface.
    pub interface: String,
    /// `pass`, `drop` or `would_drop`.
    pub action: String,
    /// Why.
    pub reason: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames.
    pub bytes: u64,
}

/// The terminator's counters since the daemon started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Handshakes {
    /// Authenticated connections that were relayed.
    pub accepted: u64,
    /// Connections from addresses that enforcing would have refused.
    pub would_refuse: u64,
    /// Refused connections.
    pub refused: Vec<Refused>,
    /// Those of them that came from admitted addresses.
    #[serde(default)]
    pub refused_from_admitted: Vec<Refused>,
    /// Addresses that were refused lately, the last seen first; at most 64. This host's own loopback
    /// addresses are not among them, nor among the ones before.
    #[serde(default)]
    pub refused_lately: Vec<RefusedPeer>,
    /// Connections that were relayed though their site would refuse them, since it observes.
    #[serde(default)]
    pub observed: Vec<Refused>,
    /// Those of them that came from admitted addresses.
    #[serde(default)]
    pub observed_from_admitted: Vec<Refused>,
    /// Those of the latter within a day, or since the site observes.
    #[serde(default)]
    pub observed_lately: Vec<Refused>,
    /// The last of these, for each site.
    #[serde(default)]
    pub last_observed: Vec<LastObserved>,
}

/// Refused connections or requests of one site for one reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// The site, or `-` where none was found.
    pub site: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Requests since the daemon started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    /// Those that an upstream answered.
    pub relayed: u64,
    /// Those that aop answered in its place.
    pub refused: Vec<Refused>,
}

/// The upstream of a site that is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamReport {
    /// The site.
    pub site: String,
    /// Where it is.
    pub upstream: String,
    /// Whether it is there, as it was last asked; `null` until then.
    pub good: Option<bool>,
    /// Why it is not; `null` where it is.
    pub error: Option<String>,
}

/// An authenticated peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The site of its last handshake; `null` where the configuration no longer has it.
    pub site: Option<String>,
    /// Authenticated handshakes.
    pub handshakes: u64,
    /// When the first one was.
    pub first_seen: Timestamp,
    /// When the last one was.
    pub last_seen: Timestamp,
}

/// A client certificate that the edge presented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The site it was presented to.
    pub site: String,
    /// Its subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// Its serial number, in hex.
    pub serial: String,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// What it proves: `global`, the Cloudflare network; `own`, a zone or hostname of the operator's;
    /// `unknown`.
    pub level: String,
    /// The client CA that vouches for it, `cloudflare-global` or a path.
    pub client_ca: Option<String>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How often it was seen.
    pub pulls: u64,
}

impl Status {
    /// Of a host on which nothing is guarded and nothing runs.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            daemon: None,
            terminator: None,
            last_reload: None,
            predecessors: Vec::new(),
            openings: Vec::new(),
            mode: "off".to_owned(),
            modes: Modes::default(),
            interfaces: Vec::new(),
            prefixes: Prefixes::default(),
            verdicts: Vec::new(),
            handshakes: Handshakes::default(),
            requests: Requests::default(),
            upstreams: Vec::new(),
            peers: Vec::new(),
            peers_total: 0,
            identities: Vec::new(),
            ends: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds what the maps do not know of the modes: what firewall.mode is, if the configuration can
    /// be read, and when `aop mode` was heard. Warns where they differ.
    pub fn explain_modes(&mut self, configured: Option<&str>, set_at: Option<Timestamp>) {
        self.modes.configured = configured.map(str::to_owned);
        self.modes.set_at = set_at;
        self.warnings.extend(self.modes.warnings(&self.mode));
    }
}

impl UpstreamReport {
    /// Why the site cannot be served, where that is so.
    pub fn obstacle(&self) -> Option<String> {
        let Self { site, upstream, good, error } = self;
        match good {
            Some(true) => None,
            Some(false) => {
                let error = error.as_deref().unwrap_or("no reason given");
                Some(format!("site {site}: its upstream {upstream} fails its check: {error}"))
            }
            None => Some(format!("site {site}: its upstream {upstream} was not checked yet")),
        }
    }
}

/// The first [`MAX_PEERS_SHOWN`] of `peers`, for a status.
#[must_use]
pub fn peer_list(peers: &[PeerReading], sites: &[String]) -> Vec<Peer> {
    let names: HashMap<u64, &String> = sites.iter().map(|name| (site_id(name), name)).collect();
    peers.iter().take(MAX_PEERS_SHOWN).map(|reading| peer(reading, &names)).collect()
}

/// A peer as documents show it, with the sites' `names` by their marks.
pub(super) fn peer(reading: &PeerReading, names: &HashMap<u64, &String>) -> Peer {
    let facts = &reading.facts;
    Peer {
        address: reading.address,
        site: names.get(&facts.site).map(|name| (*name).clone()),
        handshakes: facts.handshakes,
        first_seen: timestamp(facts.first_seen),
        last_seen: timestamp(facts.last_seen),
    }
}

/// The moment that many seconds after 1970 began; that beginning itself where there is none.
pub fn timestamp(unix_seconds: u64) -> Timestamp {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
