//! The status document. Its names are stable: fields are added, never renamed.

use std::{collections::HashMap, net::IpAddr};

use aop_common::layout::site_id;
use aop_types::PeerEntry;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ends::Expiry,
    lately::RefusedPeer,
    modes::ModesReport,
    observed::LastObserved,
    opening::Opening,
    processes::{DaemonReport, Predecessor, TerminatorReport},
    reloaded::ReloadResult,
};

/// Peers that one document shows: the latest.
pub const MAX_PEERS_SHOWN: usize = 1000;

/// Everything that `aop status` shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The version of aop that answers.
    pub version: String,
    /// The daemon; `null` where none runs and only the pinned maps were read.
    pub daemon: Option<DaemonReport>,
    /// The terminator process; `null` where none runs.
    #[serde(default)]
    pub terminator: Option<TerminatorReport>,
    /// The last reload; `null` where there was none since the daemon started.
    #[serde(default)]
    pub last_reload: Option<ReloadResult>,
    /// Draining predecessors: daemons that an upgrade has replaced, and that still serve
    /// connections.
    #[serde(default)]
    pub predecessors: Vec<Predecessor>,
    /// Networks that `aop open` admits for a time.
    #[serde(default)]
    pub openings: Vec<Opening>,
    /// The general mode: `enforce`, `observe` or `off`.
    pub mode: String,
    /// Overrides of the general mode, and their cause.
    pub modes: ModesReport,
    /// The guarded interfaces.
    pub interfaces: Vec<InterfaceStatus>,
    /// The admitted prefixes.
    pub prefixes: PrefixStatus,
    /// The packet counters that are not zero.
    pub verdicts: Vec<VerdictCount>,
    /// The terminator's counters.
    pub handshakes: Handshakes,
    /// The result of requests, on sites that relay requests.
    #[serde(default)]
    pub requests: Requests,
    /// The upstreams of sites that have an `upstream_check`.
    #[serde(default)]
    pub upstreams: Vec<UpstreamReport>,
    /// Authenticated peers, the latest first, at most [`MAX_PEERS_SHOWN`].
    pub peers: Vec<PeerStatus>,
    /// How many authenticated peers are on record.
    pub peers_total: usize,
    /// The client certificates that peers presented.
    pub identities: Vec<SeenIdentity>,
    /// Certificates and lists that expire next, the soonest first, at most
    /// [`MAX_EXPIRIES`](super::MAX_ENDS).
    #[serde(default)]
    pub ends: Vec<Expiry>,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
}

/// A guarded interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `native` or `generic`; `null` where it is not attached.
    pub attach: Option<String>,
    /// `attached`; `missing`: the interface does not exist; `foreign`: another XDP program is
    /// attached to it; `detached`: no XDP program is.
    pub state: String,
    /// Whether the packet program runs on it.
    pub attached: bool,
    /// Whether all packets that should be dropped are: the program is attached, and enforces for
    /// every guarded port.
    pub enforcing: bool,
}

/// The admitted prefixes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PrefixStatus {
    /// `cloudflare`, `inline`, a URL or a path; `null` where no daemon knows.
    pub source: Option<String>,
    /// Where the list came from: `fetched`, `stored`, `snapshot`, `file`, `inline` or `nowhere`.
    pub origin: Option<String>,
    /// The source's name for this edition of the list.
    pub etag: Option<String>,
    /// IPv4 prefixes, the operator's extra ones included.
    pub v4: usize,
    /// IPv6 prefixes.
    pub v6: usize,
    /// Prefixes that have left the list and still admit their authenticated peers.
    pub draining: usize,
    /// Seconds since the source last confirmed the list; `null` where no daemon knows, or the
    /// source has never answered.
    pub age_seconds: Option<u64>,
    /// Seconds until the next refresh; `null` where none is due.
    pub next_refresh_seconds: Option<u64>,
    /// Why the last refresh was refused; `null` where it was not.
    pub last_error: Option<String>,
    /// Number of the list in force; each applied list increments it.
    pub generation: u32,
}

/// A packet counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerdictCount {
    /// The interface.
    pub interface: String,
    /// `pass`, `drop` or `would_drop`.
    pub action: String,
    /// The reason's stable name.
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
    pub refused: Vec<RefusalCount>,
    /// Those of them that came from admitted addresses.
    #[serde(default)]
    pub refused_from_admitted: Vec<RefusalCount>,
    /// Addresses that were refused recently, the last seen first; at most 64. The loopback
    /// addresses of this host are left out here, and in `refused_from_admitted`.
    #[serde(default)]
    pub refused_lately: Vec<RefusedPeer>,
    /// Connections that were relayed only because their site observes.
    #[serde(default)]
    pub observed: Vec<RefusalCount>,
    /// Those of them that came from admitted addresses.
    #[serde(default)]
    pub observed_from_admitted: Vec<RefusalCount>,
    /// Those of `observed_from_admitted` within the last day, or since the site observes.
    #[serde(default)]
    pub observed_lately: Vec<RefusalCount>,
    /// The latest of these for each site.
    #[serde(default)]
    pub last_observed: Vec<LastObserved>,
}

/// Refused connections or requests of one site for one reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusalCount {
    /// The site, or `-` where none was found.
    pub site: String,
    /// The refusal's stable name.
    pub reason: String,
    /// Number of connections or requests.
    pub count: u64,
}

/// Requests since the daemon started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    /// Requests that an upstream answered.
    pub relayed: u64,
    /// Requests that aop answered itself.
    pub refused: Vec<RefusalCount>,
}

/// The upstream of a site with an `upstream_check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamReport {
    /// The site.
    pub site: String,
    /// Its address.
    pub upstream: String,
    /// The result of the last check; `null` before the first.
    pub good: Option<bool>,
    /// Why it failed; `null` where it did not.
    pub error: Option<String>,
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

/// A client certificate that a peer presented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenIdentity {
    /// The site to which it was presented.
    pub site: String,
    /// Its subject.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// Its serial number, in hex.
    pub serial: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// What it proves: `global`, the Cloudflare network; `own`, a zone or hostname of the operator;
    /// `unknown`.
    pub level: String,
    /// The client CA that issued it: `cloudflare-global` or a path.
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
            modes: ModesReport::default(),
            interfaces: Vec::new(),
            prefixes: PrefixStatus::default(),
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

    /// Adds what the maps do not hold about the modes: the value of firewall.mode, if the
    /// configuration can be read, and when `aop mode` was last run. Warns where they differ.
    pub fn explain_modes(&mut self, configured: Option<&str>, set_at: Option<Timestamp>) {
        self.modes.configured = configured.map(str::to_owned);
        self.modes.set_at = set_at;
        self.warnings.extend(self.modes.warnings(&self.mode));
    }
}

impl UpstreamReport {
    /// Why the site cannot be served, where it cannot.
    pub fn obstacle(&self) -> Option<String> {
        let Self { site, upstream, good, error } = self;
        match good {
            Some(true) => None,
            Some(false) => {
                let error = error.as_deref().unwrap_or("no reason given");
                Some(format!("site {site}: its upstream {upstream} fails its check: {error}"))
            }
            None => Some(format!("site {site}: its upstream {upstream} has not been checked yet")),
        }
    }
}

/// The first [`MAX_PEERS_SHOWN`] of `peers`, for the status.
#[must_use]
pub fn peer_list(peers: &[PeerEntry], sites: &[String]) -> Vec<PeerStatus> {
    let names: HashMap<u64, &String> = sites.iter().map(|name| (site_id(name), name)).collect();
    peers.iter().take(MAX_PEERS_SHOWN).map(|reading| peer(reading, &names)).collect()
}

/// A peer as documents show it. `names` are the sites by their marks.
pub(super) fn peer(reading: &PeerEntry, names: &HashMap<u64, &String>) -> PeerStatus {
    let facts = &reading.facts;
    PeerStatus {
        address: reading.address,
        site: names.get(&facts.site).map(|name| (*name).clone()),
        handshakes: facts.handshakes,
        first_seen: timestamp(facts.first_seen),
        last_seen: timestamp(facts.last_seen),
    }
}

/// The time `unix_seconds` after 1970; 1970 where that cannot be represented.
pub fn timestamp(unix_seconds: u64) -> Timestamp {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
