//! The requests that a daemon accepts. A new verb is a variant here and an arm where the daemon
//! answers.

use std::{ops::RangeInclusive, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Opening;

/// The seconds for which a mode may wait for a confirmation.
const CONFIRM_SECONDS: RangeInclusive<u64> = 10..=3600;

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

    /// Whether the confirmation that it asks for is possible.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self) -> Result<(), &'static str> {
        match (self.confirm_seconds, self.confirm_pulls) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                Err("--pulls confirms a pending change, so give its time with --confirm, too")
            }
            (Some(_), Some(0)) => Err("--pulls 0 would confirm at once"),
            (Some(_), _) if self.to != ModeTarget::Enforce => {
                Err("only `enforce` can wait for a confirmation")
            }
            (Some(seconds), _) if !CONFIRM_SECONDS.contains(&seconds) => Err(
                "a change waits for its confirmation for at least ten seconds and at most an hour",
            ),
            (Some(_), _) => Ok(()),
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
    /// Whether its values are within the bounds that each host has.
    ///
    /// # Errors
    /// The one that is not.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Mode(change) => Ok(change.check()?),
            Self::Open { network, seconds } => Opening::check(*network, *seconds),
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::Strangers
            | Self::RefreshPrefixes { .. }
            | Self::Reload
            | Self::Confirm
            | Self::Close { .. }
            | Self::Upgrade => Ok(()),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_beyond_the_bounds_of_a_host_is_refused() {
        let open = |network: &str, seconds| Request::Open {
            network: network.parse().expect("a network"),
            seconds,
        };
        let mode = |to, confirm_seconds, confirm_pulls| {
            Request::Mode(ModeChange { confirm_seconds, confirm_pulls, ..ModeChange::to(to) })
        };
        for good in [
            open("192.0.2.0/24", 60),
            open("2001:db8::/32", 86_400),
            mode(ModeTarget::Enforce, Some(10), Some(1)),
            mode(ModeTarget::Enforce, Some(3600), None),
            mode(ModeTarget::Observe, None, None),
            Request::Reload,
        ] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
        for bad in [
            open("0.0.0.0/7", 60),
            open("2001::/31", 60),
            open("192.0.2.0/24", 0),
            open("192.0.2.0/24", 86_401),
            mode(ModeTarget::Enforce, Some(9), None),
            mode(ModeTarget::Enforce, Some(3601), None),
            mode(ModeTarget::Enforce, Some(60), Some(0)),
            mode(ModeTarget::Enforce, None, Some(5)),
            mode(ModeTarget::Observe, Some(60), None),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
