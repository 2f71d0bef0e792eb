//! The place of a host, by which waves divide a fleet. It follows from the name alone, so that the
//! operator and each host find the same one.

use aop_config::FleetName;
use aws_lc_rs::digest::{SHA256, digest};

/// The number of places.
pub const PLACES: u64 = 1 << 32;

/// The place of the host `name`.
#[must_use]
pub fn place(name: &FleetName) -> u64 {
    let hash = digest(&SHA256, name.as_str().as_bytes());
    let first = hash.as_ref().iter().take(4);
    first.fold(0, |place, byte| place << 8 | u64::from(*byte))
}
