//! The packet policy, and the bytes that the kernel side and the user side of aop share.
//!
//! [`decide`] decides about a frame. It sees the world only through the traits [`Frame`] and
//! [`Facts`]: the XDP program implements them over the packet and BPF maps, tests over byte slices
//! and vectors. So one source is tested on the host and runs in the kernel. [`Segment::read`] reads
//! a frame for people, and decides nothing. The reasons of verdicts are the two tables in
//! `reason.rs`; [`layout`] fixes the bytes of the maps.
//!
//! Nothing here allocates, panics or reaches outside, and only `pod.rs` has `unsafe` code.
#![no_std]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod bucket;
mod ethernet;
mod frame;
mod ipv4;
mod ipv6;
pub mod layout;
#[cfg(feature = "aya")]
mod pod;
mod policy;
pub mod prefix_table;
mod reason;
mod segment;
mod tally;
mod tcp;
mod udp;
mod verdict;

pub use frame::{Bytes, Frame, Head};
pub use policy::{Decision, Facts, Standing, Trust, decide, judge};
pub use reason::{DropReason, PassReason};
pub use segment::{Address, AddressFamily, Flow, Segment};
pub use tally::Tally;
pub use tcp::TcpStep;
pub use verdict::{Action, Mode, Verdict};
