//! One dropped packet, as `aop drops` prints it.

use std::{fmt, net::IpAddr};

use aop_firewall::DroppedPacket;
use serde::Serialize;

/// A dropped packet. Names are stable.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DropLine {
    /// The interface that received it.
    pub(crate) interface: String,
    /// `drop` or `would_drop`.
    pub(crate) action: &'static str,
    /// The reason's stable name.
    pub(crate) reason: &'static str,
    /// The source; `null` where it cannot be read.
    pub(crate) source: Option<IpAddr>,
    /// The destination; `null` where it cannot be read.
    pub(crate) destination: Option<IpAddr>,
    /// The destination port; `null` where it cannot be read.
    pub(crate) port: Option<u16>,
    /// Bytes of the whole frame.
    pub(crate) length: u32,
    /// Names of its headers, the outermost first; of fragments and broken frames, as far as they
    /// can be read.
    pub(crate) headers: Vec<String>,
}

impl From<DroppedPacket> for DropLine {
    fn from(drop: DroppedPacket) -> Self {
        let DroppedPacket { interface, action, reason, source, destination, port, length, headers } =
            drop;
        Self { interface, action, reason, source, destination, port, length, headers }
    }
}

impl fmt::Display for DropLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |address: Option<IpAddr>| address.map_or("?".to_owned(), |it| it.to_string());
        let port = self.port.map_or("?".to_owned(), |port| port.to_string());
        let (source, destination) = (address(self.source), address(self.destination));
        write!(
            f,
            "{:<10} {:<15} {source} → {destination} port {port}, {}, {} bytes, {}",
            self.action,
            self.reason,
            self.interface,
            self.length,
            self.headers.join(" > ")
        )
    }
}
