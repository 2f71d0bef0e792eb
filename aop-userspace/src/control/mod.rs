//! How a running daemon is asked: one request and one document, over a Unix socket that only its
//! owner may open, and the lock that keeps two daemons apart. Beside it, the documents of the other
//! read verbs.

mod admitted;
mod checked;
mod drop_line;
mod explanation;
mod identities;
mod lock;
mod proof;
mod report;
mod request;
mod socket;

pub use admitted::{Admitted, AdmittedPrefix, Outcome, Refreshed, admitted_prefixes};
pub use checked::{Checked, CheckedCertificate, CheckedFile, CheckedList, CheckedSite};
pub use drop_line::DropLine;
pub use explanation::{CaptureExplanation, CaptureVerdict, Explanation};
pub use identities::{Identities, SiteIdentities};
pub use lock::{InstanceLock, LockError};
pub use proof::{Proof, ProofFailure, ProofGroup};
pub use report::{
    DaemonReport, Handshakes, Identity, Interface, MAX_PEERS_SHOWN, Peer, Prefixes, Refused,
    Status, Verdict, from_firewall, peer_list,
};
pub(crate) use report::{mode_name, timestamp};
pub use request::{Answer, Answers, Request, Then};
pub use socket::{AskError, ControlError, ControlSocket, ask};
