//! Questions about this host that change nothing: what becomes of a packet and why ([`explain`]),
//! whether every shape of the packet table is judged as it should be ([`prove`]), and whether the
//! host is ready to enforce ([`doctor`]).

pub mod doctor;
pub mod explain;
pub mod prove;
