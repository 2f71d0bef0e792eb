//! The terminator: accepts connections and relays origin pulls.
//!
//! [`aop_listeners::bind`] reserves the addresses before. A [`Service`] accepts on them. Each
//! connection takes a pending-handshake slot, and a connection slot once its peer authenticates.
//! The [`Gate`](aop_types::Gate) admits the address and [`tls`](aop_tls) authorizes the
//! certificate; the peer is recorded and the connection is relayed. For an HTTP upstream, `http`
//! relays request by request; for any other upstream, `relay` copies bytes.
//! Each outcome is counted in the [`Ledger`] and logged in one closing line.
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
pub use lately::RefusedPeer;
pub use ledger::{DeniedCount, Ledger, LedgerSnapshot, RefusedCount, Sighting};
pub use observations::{LastObserved, ObservedCount};
pub use proxy::{Ends, Malformed, Reading, read as read_proxy_header};
pub use service::{Drained, Policy, Service};
pub use upstream::{Connected, dial};
