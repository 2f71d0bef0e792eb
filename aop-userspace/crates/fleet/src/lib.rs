//! Many hosts on one etcd: each reports what it does, and operators see all of them.
//!
//! A process without privilege keeps the connection to etcd and parses its answers. Nothing that
//! serves or guards waits for it. etcd is not trusted: whoever holds it can hide reports and show
//! false ones, and cannot weaken a host.

pub mod orders;
mod pattern;
mod waves;

pub use pattern::fits;
pub use waves::{PlannedWave, SeenHost, TAKES_AT_MOST, WaveProgress, WaveSizes};
