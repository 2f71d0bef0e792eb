//! What the kernel side and the user side of aop agree on.
//!
//! [`Segment::read`] finds the TCP destination in a frame, [`judge`] decides what becomes of it,
//! and both see the world only through the traits [`Frame`] and [`Facts`]. The XDP program
//! implements these over the packet and BPF maps, the host over byte slices and plain sets, so one
//! source is tested on the host and runs in the kernel. [`layout`] fixes the maps' bytes.
//!
//! Nothing here allocates, panics or touches the outside, and only `pod.rs` holds `unsafe`.
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
