//! A network that is admitted for a time. The names are stable: fields are added, never renamed.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whom an operator has let in until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The CIDR.
    pub network: IpNet,
    /// When it was opened.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// What `aop open` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningsInForce {
    /// What is open.
    pub openings: Vec<Opening>,
    /// Why a restart will not know it; `null` where it will.
    pub not_kept: Option<String>,
}

impl Opening {
    /// `open to 192.0.2.0/24 until ...`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { network, since: _, until } = self;
        format!("open to {network} until {until:.0} (`aop open --close {network}` ends it)")
    }
}
