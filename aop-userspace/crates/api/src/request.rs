//! What a daemon can be asked. A verb is a variant here and an arm where the daemon answers.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// One line of JSON on the control socket: `{"verb": "status"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The status document, [`Status`](crate::Status).
    Status,
    /// Who is admitted, [`Admitted`](crate::Admitted).
    Prefixes,
    /// Which client certificates were presented, [`Identities`](crate::Identities).
    Identities,
    /// Every peer on record, [`Peers`](crate::Peers).
    Peers,
    /// Read or fetch the prefix list now; [`Refreshed`](crate::Refreshed).
    RefreshPrefixes {
        /// What to do with it.
        then: Then,
    },
    /// Do what SIGHUP does; [`Reloaded`](crate::Reloaded).
    Reload,
    /// Make last what a switch said for a time; [`ModesInForce`](crate::ModesInForce).
    Confirm,
    /// Admit a network for a time; [`OpeningsInForce`](crate::OpeningsInForce).
    Open {
        /// The CIDR.
        network: IpNet,
        /// For how long.
        seconds: u64,
    },
    /// End that before its time; [`OpeningsInForce`](crate::OpeningsInForce).
    Close {
        /// The CIDR.
        network: IpNet,
    },
    /// Switch modes; [`ModesInForce`](crate::ModesInForce).
    Mode(Switch),
    /// Hand over to a new process of the program as it is on disk now; [`Upgraded`](crate::Upgraded).
    Upgrade,
}

/// Which modes become what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// What they become.
    pub to: Wish,
    /// Guarded ports whose own mode is meant.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Guarded interfaces whose own mode is meant. Neither these nor ports nor sites: the general mode;
    /// by default, everything that was ever said of packets.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// Sites that are meant, by their name or a host of theirs, and nothing of packets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    /// For how long it counts, unless it is confirmed; `null`: until it is said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_seconds: Option<u64>,
    /// How many pulls with the right certificate confirm it, too; `null`: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_pulls: Option<u64>,
    /// Whether `enforce` counts though real pulls would be cut, as far as what was observed tells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl Switch {
    /// Of the general mode, until it is said otherwise.
    #[must_use]
    pub const fn to(to: Wish) -> Self {
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

/// What a mode becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Drops are counted, and pass.
    Observe,
    /// Drops are carried out.
    Enforce,
    /// Whatever it is without the operator's word.
    Default,
}

/// What becomes of a list that was fetched on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It is only compared with what is in force.
    Compare,
    /// It is applied.
    Apply,
    /// It is applied though it removes much.
    ApplyShrunk,
}

impl Request {
    /// How long the answer may take.
    pub fn patience(&self) -> Duration {
        match self {
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. } => Duration::from_secs(5),
            // A fetch takes ten seconds at most, and the list is then applied and kept.
            Self::RefreshPrefixes { .. } => Duration::from_secs(20),
            // One that is under way comes first, and each waits for half a minute at most until the
            // terminator has prepared itself.
            Self::Reload => Duration::from_secs(75),
            // A refresh that is under way, and then the new process's start.
            Self::Upgrade => Duration::from_secs(120),
        }
    }

    /// Whether it is answered from what is known already: nothing changes, and nothing is fetched.
    #[must_use]
    pub fn reads(&self) -> bool {
        match self {
            Self::Status | Self::Prefixes | Self::Peers | Self::Identities => true,
            Self::RefreshPrefixes { .. }
            | Self::Reload
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Upgrade => false,
        }
    }

    /// Whether something becomes another than it was: who asks for that is recorded.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::RefreshPrefixes { then: Then::Compare } => false,
            Self::RefreshPrefixes { then: Then::Apply | Then::ApplyShrunk }
            | Self::Reload
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Upgrade => true,
        }
    }

    /// Whether the answer comes though the daemon stops: it is the reason, or is cut short by that.
    pub fn ends_by_itself(&self) -> bool {
        match self {
            Self::Upgrade => true,
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Reload
            | Self::RefreshPrefixes { .. } => false,
        }
    }
}
