//! The HTTP relay: checks each request of a permitted connection and relays it to the upstream.
//!
//! [`serve()`] requires a [`Permit`](aop_tls::Permit). The steps of a request: `strict` refuses
//! bytes that are ambiguous, `host` requires a host of the connection's site, `headers` rewrites
//! the header fields, `pool` sends the request over an upstream connection, and `answer` streams
//! the response back. hyper parses and writes; no step buffers a body.

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
