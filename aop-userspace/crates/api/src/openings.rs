//! A network that `aop open` admits for a time.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::until_text;

/// An opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The CIDR.
    pub network: IpNet,
    /// When it was opened.
    pub since: Timestamp,
    /// When it expires.
    pub until: Timestamp,
}

/// The answer of `aop open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningsInForce {
    /// All openings in force.
    pub openings: Vec<Opening>,
    /// Why they will be lost at a restart; `null` where they are stored.
    pub not_kept: Option<String>,
}

impl Opening {
    /// `open to 192.0.2.0/24 for 4 min 59 s (until ...`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { network, since: _, until } = self;
        let until = until_text(*until, Timestamp::now());
        format!("open to {network} {until}; `aop open --close {network}` closes it")
    }
}
