//! Connections to upstreams.
//!
//! The task of a peer's connection owns the upstream connections that its requests use, and drives
//! them itself: a request crosses no task. Between requests they rest in the pool of their worker.

mod connection;
mod pool;
mod ready_set;

pub(super) use connection::{Close, Codec, Reuse, UpstreamConnection, Writes};
pub(super) use pool::{Connecting, Pool};
pub(crate) use pool::{Pools, RequestSlots};
pub(super) use ready_set::ReadySet;
