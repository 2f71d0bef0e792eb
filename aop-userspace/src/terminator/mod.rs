//! The terminator: from listening sockets to relayed origin pulls.
//!
//! [`bind`] takes the addresses before anything is served. A [`Service`] accepts on them, one slot
//! for each connection, asks the [`Gate`](crate::edge::Gate) about the address and
//! [`tls`](crate::tls) about the certificate, writes the peer down, and relays what is permitted.
//! What happened is counted in the [`Ledger`] and told in one closing log line.
//!
//! It decides nothing about trust: addresses are the gate's, certificates are TLS's.

mod accept;
mod closing;
mod connection;
mod course;
mod flow;
mod ledger;
mod listeners;
mod proxy;
mod relay;
mod service;
#[cfg(test)]
mod tests;
mod upstream;

pub use ledger::{Ledger, LedgerSnapshot, RefusedCount, Sighting};
pub use listeners::{BindError, Bound, Listener, bind, listen};
pub use service::{Drained, Policy, Service};
