//! Questions about this host: what becomes of a packet and why ([`explain`]), whether every shape
//! of the packet table gets the expected verdict ([`prove`]), and whether the host is ready to
//! enforce ([`doctor`]).
//!
//! Verdicts come from the loaded firewall, refusals from the daemon: this crate decides nothing of
//! its own. `explain` and `prove` change nothing. `doctor` makes attempts on this host's listeners,
//! and opens the loopback for that time.

pub mod doctor;
pub mod explain;
mod frame;
mod netfilter;
pub mod prove;
