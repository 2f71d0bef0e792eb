//! The packet lock: whether it is in force wherever a guarded port can be reached, and what goes
//! around it.

pub(super) mod clock;
pub(super) mod ephemeral;
pub(super) mod evasions;
pub(super) mod exposed;
pub(super) mod guard;
pub(super) mod list;
pub(super) mod others;
pub(super) mod ports;
mod private;
pub(super) mod udp;
pub(super) mod upstream;
