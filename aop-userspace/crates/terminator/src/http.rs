//! The HTTP relay: checks each request of a permitted connection and relays it to the upstream.
//!
//! [`serve()`] requires a [`Permit`](aop_tls::Permit). The steps of a request: the engine (the
//! crate `aop-http`) parses it and refuses ambiguous forms, `request_policy` requires a host of the
//! connection's site (`request_host`) and rewrites the header fields (`headers`), and `relay` sends
//! it over a connection to the upstream (`upstream`) and streams the response back. No step buffers
//! a body.

mod client_cert;
mod denial;
mod exchange;
mod exchanges;
mod forwarded_visitor;
mod headers;
pub(super) mod limits;
mod peer;
mod refusal_response;
mod relay;
mod request_host;
mod request_policy;
mod serve;
mod upstream;
mod websocket;

pub use denial::Denial;
pub(super) use headers::VisitorTrust;
pub(super) use refusal_response::explain_refusal;
pub(super) use serve::{Served, serve};
pub use upstream::SlotUsage;
pub(super) use upstream::{Pools, UpstreamSlots};
