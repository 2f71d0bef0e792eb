//! The HTTP relay: checks each request of a permitted connection and relays it to the upstream.
//!
//! [`serve()`] requires a [`Permit`](aop_tls::Permit). The steps of a request: `strict` refuses
//! bytes that are ambiguous, `host` requires a host of the connection's site, `headers` rewrites
//! the header fields, `pool` sends the request over an upstream connection, and `answer` streams
//! the response back. hyper parses and writes; no step buffers a body.

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
