//! All hosts of a fleet, for an operator, and the link of one host to its fleet.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::OriginReport;
use crate::{IdentityLevel, OrderResult, names::stable_names};

/// The answer of `aop fleet status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetReport {
    /// When etcd was read, by the clock of the operator.
    pub at: Timestamp,
    /// The place of the fleet in etcd.
    pub prefix: String,
    /// Warnings about etcd itself, such as that it is full.
    pub warnings: Vec<String>,
    /// Sums over the hosts below.
    pub sums: FleetSums,
    /// The hosts, the worst first.
    pub hosts: Vec<FleetHost>,
}

/// A host of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetHost {
    /// Its name.
    pub name: String,
    /// The verdict in one word.
    pub state: FleetHostState,
    /// When it last reported, by its own clock; `null` where that is not known.
    pub last_seen: Option<Timestamp>,
    /// Why it is in this state; the first reason is the gravest.
    pub reasons: Vec<String>,
    /// Its report; `null` where it is silent, or its report cannot be read.
    pub report: Option<OriginReport>,
}

stable_names! {
    /// The verdict on a host of a fleet, the worst first.
    FleetHostState {
        /// It does not serve, or does not filter packets.
        Critical = "critical",
        /// It has reported before, and its lease has expired.
        Silent = "silent",
        /// Its report cannot be read, or two hosts claim its name.
        Unclear = "unclear",
        /// It serves and guards, and has warnings.
        Warning = "warning",
        /// Nothing is to be done.
        Ok = "ok",
    }
}

/// Sums over the hosts of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetSums {
    /// The hosts, also silent ones.
    pub hosts: usize,
    /// Hosts that report, by their verdict.
    pub ok: usize,
    /// Those with warnings.
    pub warning: usize,
    /// Those that do not serve, or do not filter packets.
    pub critical: usize,
    /// Hosts that have reported before and are silent.
    pub silent: usize,
    /// Hosts whose report cannot be read, or whose name two hosts claim.
    pub unclear: usize,
    /// The hosts that report, by the general mode of packets.
    pub packets: FleetModeSums,
    /// All their sites, by mode.
    pub sites: FleetModeSums,
    /// Hosts on which a mode override waits for a confirmation.
    pub pending: usize,
    /// The number of different prefix lists in force.
    pub lists: usize,
    /// The number of different versions of aop.
    pub versions: usize,
}

/// A number of hosts or of sites, by mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetModeSums {
    /// They enforce.
    pub enforce: usize,
    /// They do not.
    pub observe: usize,
}

/// The answer of `aop fleet identities`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetIdentities {
    /// When etcd was read, by the clock of the operator.
    pub at: Timestamp,
    /// The certificates, by site, the newest first.
    pub certificates: Vec<FleetCertificate>,
    /// Hosts that do not report, so that nothing is known of them now.
    pub silent: Vec<String>,
    /// Hosts whose report cannot be read or may be that of another host, so that nothing is known
    /// of them now.
    pub unclear: Vec<String>,
    /// Hosts whose reports have no room for all their sites or certificates.
    pub incomplete: Vec<String>,
}

/// A client certificate at one site, on all hosts that serve the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetCertificate {
    /// The site.
    pub site: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// The scope of its proof.
    pub level: IdentityLevel,
    /// End of its validity.
    pub not_after: Timestamp,
    /// When the first host saw it first.
    pub first_seen: Timestamp,
    /// When the last host saw it last.
    pub last_seen: Timestamp,
    /// The pulls with it on all hosts.
    pub pulls: u64,
    /// The hosts that have seen it.
    pub hosts: Vec<HostPulls>,
    /// The hosts that serve the site and have not seen it.
    pub missing: Vec<String>,
}

/// A certificate on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPulls {
    /// The name of the host.
    pub host: String,
    /// When it first saw the certificate.
    pub first_seen: Timestamp,
    /// When it last saw the certificate.
    pub last_seen: Timestamp,
    /// The pulls with it.
    pub pulls: u64,
}

/// The link of a host to its fleet, in `aop status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetLink {
    /// The name of the host in the fleet.
    pub name: String,
    /// The place of the fleet in etcd.
    pub prefix: String,
    /// Whether the reports arrive.
    pub state: FleetLinkState,
    /// Why they do not; `null` where they do.
    pub error: Option<String>,
    /// When etcd last took a report; `null` where it never did.
    pub reported_at: Option<Timestamp>,
    /// The bytes of the last report.
    pub report_bytes: usize,
    /// Reports that etcd took since the daemon started.
    pub reports: u64,
    /// Attempts that failed since then.
    pub failures: u64,
    /// The last order of an operator that this host took; `null` where it never took one.
    #[serde(default)]
    pub order: Option<OrderResult>,
}

stable_names! {
    /// The state of the link of a host to its fleet.
    FleetLinkState {
        /// No report was tried yet.
        Starting = "starting",
        /// etcd took the last report.
        Reporting = "reporting",
        /// etcd cannot be reached, or refuses.
        Failing = "failing",
        /// Another host reports under the same name.
        NameTaken = "name_taken",
    }
}

impl FleetLink {
    /// Before the first attempt.
    #[must_use]
    pub fn starting() -> Self {
        Self {
            name: String::new(),
            prefix: String::new(),
            state: FleetLinkState::Starting,
            error: None,
            reported_at: None,
            report_bytes: 0,
            reports: 0,
            failures: 0,
            order: None,
        }
    }

    /// The warning for the operator, where reports do not arrive, or another host claims the name.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Self { name, state, error, .. } = self;
        let why = error.as_deref()?;
        match state {
            FleetLinkState::Reporting => Some(why.to_owned()),
            FleetLinkState::NameTaken => Some(format!(
                "the fleet does not see this host: {why}. Give one of the two another fleet.name \
                 than {name}"
            )),
            FleetLinkState::Starting | FleetLinkState::Failing | FleetLinkState::Unknown(_) => {
                Some(format!(
                    "the fleet does not see this host: {why}. Packets and pulls are not affected"
                ))
            }
        }
    }
}
