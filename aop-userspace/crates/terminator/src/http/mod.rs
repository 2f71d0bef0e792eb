//! HTTP: from a permitted connection to requests that reach the upstream, each judged by itself.
//!
//! [`serve()`] takes a [`Permit`](aop_tls::Permit) and no less. The way of a request: its bytes are
//! read in one way or refused (`strict`), its host belongs to the connection's site (`host`), its
//! headers are made ours (`headers`), a connection to the upstream takes it (`pool`), and what comes
//! back is passed on as it comes (`answer`). hyper parses and writes; nothing here buffers a body.

mod answer;
mod attention;
mod client_cert;
mod denial;
mod desk;
mod explain;
mod headers;
mod host;
mod inbound;
mod introduction;
mod line;
mod multiplex;
mod pool;
mod serve;
mod stall;
mod streams;
mod strict;
mod upgrade;
mod wire;

pub use denial::Denial;
pub(super) use explain::explain;
pub(super) use headers::Visitors;
pub(super) use pool::{Pools, Slots};
pub(super) use serve::{Served, serve};
