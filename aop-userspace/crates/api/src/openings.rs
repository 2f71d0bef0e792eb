//! A network that `aop open` admits for a time.

use std::time::Duration;

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
    /// The longest duration.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
    /// The shortest prefix lengths (IPv4, IPv6). A wider opening would disable the firewall.
    const SHORTEST: (u8, u8) = (8, 32);

    /// Whether a host may open `network` for so many `seconds`.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(network: IpNet, seconds: u64) -> Result<(), String> {
        let shortest = if network.addr().is_ipv4() { Self::SHORTEST.0 } else { Self::SHORTEST.1 };
        if network.prefix_len() < shortest {
            let network = network.trunc();
            return Err(format!("{network} is too large: at most a /{shortest} can be opened"));
        }
        if !(1..=Self::LONGEST.as_secs()).contains(&seconds) {
            return Err("an opening lasts at least one second and at most 24 hours".to_owned());
        }
        Ok(())
    }

    /// `open to 192.0.2.0/24 for 4 min 59 s (until ...`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { network, since: _, until } = self;
        let until = until_text(*until, Timestamp::now());
        format!("open to {network} {until}; `aop open --close {network}` closes it")
    }
}
