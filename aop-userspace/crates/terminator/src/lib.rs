//! The terminator: accepts connections and relays origin pulls.
//!
//! [`aop_listeners::bind`] reserves the addresses before. A [`Service`] accepts on them. Each
//! connection takes a pending-handshake slot, and a connection slot once its peer authenticates.
//! The [`PeerGate`](aop_types::Gate) admits the address and [`tls`](aop_tls) authorizes the
//! certificate; the peer is recorded and the connection is relayed. For an HTTP upstream, `http`
//! relays request by request; for any other upstream, `relay` copies bytes.
//! Each outcome is counted in the [`Counters`] and logged in one closing line.
//!
//! This crate makes no trust decision: the gate decides about addresses, TLS about certificates.

mod accept;
mod closing;
mod connection;
mod course;
mod crowd;
mod flow;
mod http;
mod in_force;
mod lately;
mod ledger;
mod observations;
mod proxy;
mod quiet;
mod relay;
mod service;
#[cfg(test)]
mod tests;
mod upstream;
mod workers;

pub use http::Denial;
pub use lately::RecentRefusal;
pub use ledger::{Counters, CountersSnapshot, DeniedCount, IdentitySighting, RefusedCount};
pub use observations::{LastObservation, ObservedCount};
pub use proxy::{MalformedProxyHeader, ProxyAddresses, Reading, read as read_proxy_header};
pub use service::{Drained, Service, ServicePolicy};
pub use upstream::{UpstreamStream, dial};
