//! The packet lock: whether it filters wherever a guarded port can be reached, and ways around it.

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
