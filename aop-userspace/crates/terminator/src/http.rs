//! The HTTP relay: checks each request of a permitted connection and relays it to the upstream.
//!
//! [`serve()`] requires a [`Permit`](aop_tls::Permit). The steps of a request: `smuggling_guard`
//! refuses bytes that are ambiguous, `request_host` requires a host of the connection's site,
//! `headers` rewrites the header fields, `upstream` sends the request over a connection to the
//! upstream, and `response_body` streams the response back. `request_handler` runs these steps.
//! hyper parses and writes; no step buffers a body.

mod checked_stream;
mod client_cert;
mod co_polling;
mod denial;
mod forwarded_visitor;
mod headers;
mod progress_timeout;
mod refusal_response;
mod request_body;
mod request_handler;
mod request_host;
mod response_body;
mod serve;
mod smuggling_guard;
mod stream_tasks;
mod upstream;
mod websocket;

pub use denial::Denial;
pub(super) use headers::VisitorTrust;
pub(super) use refusal_response::explain_refusal;
pub(super) use serve::{Served, serve};
pub(super) use upstream::{Pools, RequestSlots};
