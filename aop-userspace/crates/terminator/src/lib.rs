//! The terminator: accepts connections and relays origin pulls.
//!
//! [`aop_listeners::bind`] reserves the addresses before. A [`Service`] accepts on them. Each
//! connection takes a pending-handshake slot, and a connection slot once its peer authenticates.
//! The [`PeerGate`](aop_types::PeerGate) admits the address and [`tls`](aop_tls) authorizes the
//! certificate; the peer is recorded and the connection is relayed. For an HTTP upstream, `http`
//! relays request by request; for any other upstream, `relay` copies bytes.
//! Each outcome is counted in the [`Counters`] and logged in one closing line.
//!
//! This crate makes no trust decision: the gate decides about addresses, TLS about certificates.
//! It reads no configuration file: its user hands it built sites.

mod accept;
mod accept_policy;
mod closing_line;
mod connection;
mod counters;
mod http;
mod log_limit;
mod pending_handshakes;
mod proxy;
mod relay;
mod service;
#[cfg(test)]
mod tests;
mod upstream;
mod upstream_probe;
mod workers;

pub use counters::{
    Counters, CountersSnapshot, DeniedCount, IdentitySighting, LastObservation, ObservedCount,
    RecentRefusal, RefusedCount, RetiredCount,
};
pub use http::{Denial, SlotUsage};
pub use proxy::{
    MalformedProxyHeader, ParsedProxyHeader, ProxyAddresses, parse as parse_proxy_header,
};
pub use service::{Drained, OpenRequests, Service, ServicePolicy};
pub use upstream_probe::UpstreamProbe;
