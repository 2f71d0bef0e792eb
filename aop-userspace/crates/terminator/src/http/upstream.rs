//! Connections to upstreams.
//!
//! The task of a peer's connection owns the upstream connections that its requests use, and drives
//! them itself: a request crosses no task. Between requests they rest in the pool of their worker.

mod connection;
mod pool;
mod ready_set;

pub(super) use connection::{Close, Codec, Life, Reuse, Shutdown, UpstreamConnection, Writes};
pub use pool::SlotUsage;
pub(super) use pool::{Connecting, Pool, SlotKind};
pub(crate) use pool::{Pools, UpstreamSlots};
pub(super) use ready_set::ReadySet;
