//! One dropped packet, as `aop drops` shows it.

use std::{fmt, net::IpAddr};

use aop_firewall::Drop;
use serde::Serialize;

/// A dropped packet. The names are stable.
#[derive(Clone, Debug, Serialize)]
pub struct DropLine {
    /// The interface that it came in on.
    pub interface: String,
    /// `drop` or `would_drop`.
    pub action: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Where it came from; `null` where that cannot be known.
    pub source: Option<IpAddr>,
    /// Where it went; `null` where that cannot be known.
    pub destination: Option<IpAddr>,
    /// The port; `null` where it cannot be known.
    pub port: Option<u16>,
    /// Bytes of the whole frame.
    pub length: u32,
    /// Its headers by name, the outermost first; those of fragments and broken frames as far as they
    /// go.
    pub headers: Vec<String>,
}

impl From<Drop> for DropLine {
    fn from(drop: Drop) -> Self {
        let Drop { interface, action, reason, source, destination, port, length, headers } = drop;
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
