//! The document behind the page of a fleet: all hosts at a glance, so short that a browser can ask
//! for it every few seconds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FleetHostState, FleetSums, StoppedHost};
use crate::{ExpiryKind, IdentityLevel, Listed, ModeName, PendingMode, names::stable_names};

/// The data of the page of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetPageData {
    /// When this was asked for, by the clock of the operator.
    pub now: Timestamp,
    /// The place of the fleet in etcd.
    pub prefix: String,
    /// The hosts that are meant, as `--host` and `--label` say; empty: all.
    pub selection: String,
    /// Why etcd was not read the last time; `null` where it was.
    pub error: Option<String>,
    /// Since when it was not; `null` where it was.
    pub failing_since: Option<Timestamp>,
    /// The fleet when etcd was last read; `null` where it never was.
    pub fleet: Option<FleetOverview>,
}

/// A fleet at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetOverview {
    /// When etcd was read, by the clock of the operator.
    pub at: Timestamp,
    /// Sums over all hosts that are meant.
    pub sums: FleetSums,
    /// Warnings about etcd itself, such as that it is full or has too many orders.
    pub warnings: Vec<String>,
    /// Keys in etcd that are of no form of ours.
    pub unreadable: usize,
    /// The versions of aop, those of most hosts first.
    pub versions: Listed<FleetShare>,
    /// The prefix lists in force, by their digests, those of most hosts first.
    pub lists: Listed<FleetShare>,
    /// The hosts, the worst first.
    pub hosts: Listed<FleetCell>,
    /// The client certificates, by site, the newest first.
    pub certificates: Listed<FleetCertificateRow>,
    /// Hosts whose report cannot be read or may be that of another host: nothing is known of their
    /// certificates.
    pub unclear: Listed<String>,
    /// Hosts whose reports have no room for all their sites or certificates.
    pub incomplete: Listed<String>,
    /// Modes that wait for a confirmation, the soonest to be reverted first.
    pub waiting: Listed<WaitingHost>,
    /// The orders that count now, the newest first.
    pub orders: Listed<FleetOrderRow>,
    /// Certificates and lists that end next, the soonest first.
    pub ends: Listed<FleetEnd>,
}

/// A certificate or list that ends, on all hosts that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetEnd {
    /// `server_certificate`, `client_ca`, `crl`, `fleet_certificate` or `fleet_ca`.
    pub what: ExpiryKind,
    /// The site; empty for files of the fleet.
    pub site: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// The hosts.
    pub hosts: usize,
}

/// The number of hosts that have one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetShare {
    /// The value.
    pub value: String,
    /// The hosts.
    pub hosts: usize,
}

/// A host in the grid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetCell {
    /// Its name.
    pub name: String,
    /// The verdict in one word.
    pub state: FleetHostState,
    /// The general mode of packets; `null` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeName>,
    /// Whether a mode waits for a confirmation there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// Sites that do not enforce; `null` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites_observing: Option<usize>,
    /// The gravest reason for the state; `null` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A client certificate at one site, on all hosts that serve the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetCertificateRow {
    /// The site.
    pub site: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// The scope of its proof.
    pub level: IdentityLevel,
    /// Whether it is the newest one of the site, and if not, whether it is still in use.
    pub state: CertificateUse,
    /// End of its validity.
    pub not_after: Timestamp,
    /// When the first host saw it first.
    pub first_seen: Timestamp,
    /// When the last host saw it last.
    pub last_seen: Timestamp,
    /// The pulls with it on all hosts.
    pub pulls: u64,
    /// The hosts that serve the site.
    pub serving: usize,
    /// Those that have seen it.
    pub seen_at: usize,
    /// Those that have seen it, and not only before the newest one arrived there.
    pub used_at: usize,
    /// The hosts that serve the site and have not seen it.
    pub missing: Listed<String>,
}

stable_names! {
    /// The place of a certificate in a rollover.
    CertificateUse {
        /// No certificate of the site was seen first later.
        Newest = "newest",
        /// A host has seen it after the newest one had arrived there, or lacks the newest one.
        InUse = "in_use",
        /// Each host has seen it last before the newest one arrived there.
        Gone = "gone",
    }
}

/// A host on which a mode waits for a confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingHost {
    /// Its name.
    pub host: String,
    /// The mode that waits.
    pub pending: PendingMode,
}

/// An order that counts now, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetOrderRow {
    /// Its number.
    pub serial: u64,
    /// The request, in one line.
    pub request: String,
    /// The hosts that it is for, in one line.
    pub hosts: String,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it ceases to count.
    pub expires: Timestamp,
    /// The public key that is said to have signed it.
    pub operator: String,
    /// Whether one of `fleet.operators` in the configuration of this host has signed it.
    pub genuine: bool,
    /// The hosts that took it, by the state of the order there.
    pub states: Vec<FleetShare>,
    /// The hosts that refused it, or went back.
    pub stopped: Listed<StoppedHost>,
}
