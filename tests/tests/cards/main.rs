//! aop on the network cards and virtual interfaces of an emulated machine.
//!
//! `cargo xtask kernels` boots the machine, and runs these tests in it. Nothing else runs them. The
//! cards come in pairs that are connected outside of the machine: one card is `eth0` of the origin
//! of a lab, its peer is the router's. So the packets of edge and stranger cross the driver, and
//! meet the packet program where the driver calls it.

mod card;
mod emulated;
mod guarded;
mod stacked;
