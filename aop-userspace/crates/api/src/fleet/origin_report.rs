//! The report of one host, as it is in etcd.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AttachModeName, Expiry, IdentityLevel, InterfaceState, ListOriginName, ModeName, OrderResult,
    OverviewState, PendingMode, ReasonSum,
};

/// The report of a host on itself. Its lists are bounded; further entries are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginReport {
    /// The name of the host in the fleet.
    pub name: String,
    /// A random number that this host made once: it tells two hosts of one name apart.
    pub instance: String,
    /// The version of aop.
    pub version: String,
    /// When the report was made, by the clock of the host.
    pub at: Timestamp,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
    /// The labels of the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The verdict of `aop status` in one word.
    pub state: OverviewState,
    /// Why visitors are not served, or packets are not filtered; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Warnings for the operator; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Further failures and warnings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_warnings: usize,
    /// The general mode of packets.
    pub mode: ModeName,
    /// Ports and interfaces with another mode, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// The mode override that waits for `aop confirm`; `null` where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingMode>,
    /// The last few orders that the host took, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderResult>,
    /// Networks that `aop open` admits for a time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub openings: usize,
    /// The guarded interfaces.
    pub interfaces: Vec<ReportedInterface>,
    /// Further interfaces.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_interfaces: usize,
    /// The prefix list.
    pub list: ReportedList,
    /// All sites of the host.
    pub sites_total: usize,
    /// Those that refuse peers without the right certificate.
    pub sites_enforcing: usize,
    /// The sites, in the order of the configuration.
    pub sites: Vec<ReportedSite>,
    /// Further sites.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_sites: usize,
    /// Authenticated connections that were relayed.
    pub accepted: u64,
    /// Refused connections, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<ReasonSum>,
    /// Connections that were relayed only because their site observes, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<ReasonSum>,
    /// Dropped packets, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<ReasonSum>,
    /// Packets that enforcing would drop, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_drop: Vec<ReasonSum>,
    /// Certificates and lists that end next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<Expiry>,
}

/// A guarded interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedInterface {
    /// Its name.
    pub name: String,
    /// The XDP mode; `null` where it is not attached.
    pub attach: Option<AttachModeName>,
    /// Which XDP program it has.
    pub state: InterfaceState,
    /// Whether all packets that should be dropped are.
    pub enforcing: bool,
}

/// The prefix list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedList {
    /// `cloudflare`, `inline`, a URL or a path.
    pub source: Option<String>,
    /// The origin of the list.
    pub origin: Option<ListOriginName>,
    /// Number of the list in force on this host.
    pub generation: u32,
    /// SHA-256 of the list in force, in hex: the same on all hosts that have the same prefixes.
    pub digest: String,
    /// IPv4 prefixes, the operator's extra ones included.
    pub v4: usize,
    /// IPv6 prefixes.
    pub v6: usize,
    /// Seconds since the source last confirmed the list, when the report was made.
    pub age_seconds: Option<u64>,
    /// Why the last refresh was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedSite {
    /// Its name.
    pub site: String,
    /// Observe or enforce.
    pub mode: ModeName,
    /// The client certificates that were presented to it, the last first.
    pub identities: Vec<ReportedIdentity>,
    /// Further certificates.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_identities: usize,
}

/// A client certificate that was presented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedIdentity {
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// Its serial number, in hex.
    pub serial: String,
    /// The scope of its proof.
    pub level: IdentityLevel,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// The pulls with it.
    pub pulls: u64,
    /// End of its validity.
    pub not_after: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
