//! The terminator: from listening sockets to relayed origin pulls.
//!
//! [`bind`] takes the addresses before anything is served. A [`Service`] accepts on them, a place in
//! the crowd for each connection and a slot once it has authenticated, asks the [`Gate`](aop_types::Gate) about the address and
//! [`tls`](aop_tls) about the certificate, writes the peer down, and relays what is permitted.
//! Where the upstream takes requests, `http` answers them one by one; else bytes are moved.
//! What happened is counted in the [`Ledger`] and told in one closing log line.
//!
//! It decides nothing about trust: addresses are the gate's, certificates are TLS's.

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
