//! How a running daemon is asked: one request and one document, over a Unix socket that only its
//! owner may open, and the lock that keeps two daemons apart.

mod admitted;
mod drop_line;
mod lock;
mod report;
mod request;
mod socket;

pub use admitted::{Admitted, AdmittedPrefix, Outcome, Refreshed, admitted_prefixes};
pub use drop_line::DropLine;
pub use lock::{InstanceLock, LockError};
pub use report::{
    DaemonReport, Handshakes, Identity, Interface, MAX_PEERS_SHOWN, Peer, Prefixes, Refused,
    Status, Verdict, from_firewall, peer_list,
};
pub(crate) use report::{mode_name, timestamp};
pub use request::{Answer, Answers, Request, Then};
pub use socket::{AskError, ControlError, ControlSocket, ask};
