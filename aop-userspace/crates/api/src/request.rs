//! The requests that a daemon accepts. A new verb is a variant here and an arm where the daemon
//! answers.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// One line of JSON on the control socket: `{"verb": "status"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The status document, [`Status`](crate::Status).
    Status,
    /// The admitted prefixes, [`Admitted`](crate::Admitted).
    Prefixes,
    /// The client certificates that were presented, [`SeenIdentities`](crate::SeenIdentities).
    Identities,
    /// Every authenticated peer on record, [`PeersReport`](crate::PeersReport).
    Peers,
    /// Every stranger on record, [`StrangersReport`](crate::StrangersReport).
    Strangers,
    /// Read or fetch the prefix list now; [`RefreshResult`](crate::RefreshResult).
    RefreshPrefixes {
        /// The action for the list.
        then: RefreshAction,
    },
    /// The same as SIGHUP; [`ReloadResult`](crate::ReloadResult).
    Reload,
    /// Make a temporary mode override permanent; [`ModesInForce`](crate::ModesInForce).
    Confirm,
    /// Admit a network for a time; [`OpeningsInForce`](crate::OpeningsInForce).
    Open {
        /// The CIDR.
        network: IpNet,
        /// Seconds until the opening expires.
        seconds: u64,
    },
    /// Close an opening before it expires; [`OpeningsInForce`](crate::OpeningsInForce).
    Close {
        /// The CIDR.
        network: IpNet,
    },
    /// Set or remove mode overrides; [`ModesInForce`](crate::ModesInForce).
    Mode(ModeChange),
    /// Hand over to a new process of the program that is on disk now;
    /// [`UpgradeResult`](crate::UpgradeResult).
    Upgrade,
}

/// A change of mode overrides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeChange {
    /// The new mode.
    pub to: ModeTarget,
    /// Guarded ports whose override it sets.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Guarded interfaces whose override it sets. Without ports, interfaces and sites it sets the
    /// general mode; then `default` removes all overrides of packets.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// Sites whose override it sets, by name or by one of their hosts. It then sets none of
    /// packets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    /// Seconds after which it expires unless it is confirmed; `null`: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_seconds: Option<u64>,
    /// Number of authenticated pulls that confirm it, too; `null`: pulls do not confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_pulls: Option<u64>,
    /// Whether to enforce although the preflight finds that real pulls would be refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl ModeChange {
    /// The general mode, without expiry.
    #[must_use]
    pub const fn to(to: ModeTarget) -> Self {
        Self {
            to,
            ports: Vec::new(),
            interfaces: Vec::new(),
            sites: Vec::new(),
            confirm_seconds: None,
            confirm_pulls: None,
            force: false,
        }
    }
}

/// The mode that an override sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeTarget {
    /// Packets and peers that would be refused are counted, and pass.
    Observe,
    /// They are refused.
    Enforce,
    /// The override is removed, so that the configuration counts again.
    Default,
}

/// The action for a list that was fetched on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshAction {
    /// Compare it with the list in force.
    Compare,
    /// Apply it.
    Apply,
    /// Apply it although it removes many prefixes.
    ApplyShrunk,
}

impl Request {
    /// How long the client waits for the answer.
    pub fn patience(&self) -> Duration {
        match self {
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::Strangers
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. } => Duration::from_secs(5),
            // A fetch takes at most ten seconds; then the list is applied and stored.
            Self::RefreshPrefixes { .. } => Duration::from_secs(20),
            // Two reloads, since another may be under way. Each waits up to 30 s for the terminator
            // to prepare.
            Self::Reload => Duration::from_secs(75),
            // A refresh that is under way, and the start of the new process.
            Self::Upgrade => Duration::from_secs(120),
        }
    }

    /// Whether the daemon answers from what it has: nothing changes, and nothing is fetched.
    #[must_use]
    pub fn reads(&self) -> bool {
        match self {
            Self::Status | Self::Prefixes | Self::Peers | Self::Identities | Self::Strangers => {
                true
            }
            Self::RefreshPrefixes { .. }
            | Self::Reload
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Upgrade => false,
        }
    }

    /// Whether it changes something. The daemon records such requests in the audit log.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::Strangers
            | Self::RefreshPrefixes { then: RefreshAction::Compare } => false,
            Self::RefreshPrefixes { then: RefreshAction::Apply | RefreshAction::ApplyShrunk }
            | Self::Reload
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Upgrade => true,
        }
    }

    /// Whether the client gets the answer although the daemon is stopping. True for the request
    /// that causes the stop.
    pub fn ends_by_itself(&self) -> bool {
        match self {
            Self::Upgrade => true,
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::Strangers
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Reload
            | Self::RefreshPrefixes { .. } => false,
        }
    }
}
