//! The values that aop's crates share: prefixes and the set that admits addresses, modes, text that
//! is safe to show, and the interface between the terminator and the firewall.
//!
//! This crate reads no file, opens no socket and knows no object of the kernel but its clocks. It
//! depends on no other crate of aop than `aop-common`.

mod admission;
mod cidr;
mod clock;
mod modes;
mod peer_gate;
mod refusal;
mod safe_text;

pub use admission::Admission;
pub use cidr::{parse_prefix, parse_prefix_of_any_width};
pub use clock::{monotonic_seconds, unix_seconds};
pub use modes::Modes;
pub use peer_gate::{AddressVerdict, PeerEntry, PeerGate, PeerRecord};
pub use refusal::{Refusal, ResponsibleParty};
pub use safe_text::{Cleaned, SafeText, escape, escape_ascii, escape_lines, shorten};
