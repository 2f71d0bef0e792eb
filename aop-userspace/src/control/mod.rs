//! How a running daemon is asked: one status document, over a Unix socket that only its owner may
//! open, and the lock that keeps two daemons apart.

mod drop_line;
mod lock;
mod report;
mod socket;

pub use drop_line::DropLine;
pub use lock::{InstanceLock, LockError};
pub use report::{
    DaemonReport, Handshakes, Identity, Interface, MAX_PEERS_SHOWN, Peer, Prefixes, Refused,
    Status, Verdict, from_firewall, peer_list,
};
pub(crate) use report::{mode_name, source_name, timestamp};
pub use socket::{AskError, ControlError, ControlSocket, ask};
