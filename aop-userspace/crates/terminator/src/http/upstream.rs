//! Connections to an HTTP upstream, and the requests that are sent over them.
//!
//! `http1` and `http2` each send one request over one connection; `pool` keeps the connections,
//! bounds the open requests and chooses between the two.

mod http1;
mod http2;
mod pool;

pub(super) use http1::RespondingConnection;
pub(super) use pool::{Pool, RelayedResponse, RequestTimeouts, UpstreamReply};
pub(crate) use pool::{Pools, RequestSlots};
