//! The values that aop's crates share: prefixes and the set that admits, modes, and the seam between
//! the terminator and whatever guards packets. Pure; knows no file, no socket and no kernel object
//! but the monotonic clock.

mod admission;
mod cidr;
mod edge;
mod modes;
mod peer;
mod refusal;

pub use admission::{Admission, monotonic_seconds};
pub use cidr::{parse, parse_any};
pub use edge::{AddressVerdict, PeerGate, PeerRecord};
pub use modes::Modes;
pub use peer::PeerEntry;
pub use refusal::{Refusal, ResponsibleParty};
