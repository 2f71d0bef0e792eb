//! The admin API: a client sends one request over a Unix socket and gets one document. One socket
//! is open to its owner alone; another answers only reading requests. Here too: the lock that keeps
//! two daemons apart, and the documents of the read verbs that need no daemon.

mod admitted;
mod ask;
mod audited;
mod checked;
mod diagnosis;
mod door;
mod drop_line;
mod ends;
mod explanation;
mod identities;
mod lately;
mod lock;
mod modes;
mod observed;
mod opening;
mod peers;
mod processes;
mod proof;
mod reloaded;
mod report;
mod request;
mod socket;
mod upgraded;

pub use admitted::{Admitted, AdmittedPrefix, Outcome, Refreshed, admitted_prefixes};
pub use ask::{AskError, ask};
pub use audited::{Audited, AuditedOutcome};
pub use checked::{Checked, CheckedCertificate, CheckedFile, CheckedList, CheckedSite};
pub use diagnosis::{Diagnosis, Finding, Outcome as FindingOutcome};
pub use drop_line::DropLine;
pub use ends::{End, MAX_ENDS};
pub use explanation::{BudgetNow, CaptureExplanation, CaptureVerdict, Explanation, ProbationNow};
pub use identities::{Identities, SiteIdentities};
pub use lately::RefusedPeer;
pub use lock::{InstanceLock, LockError};
pub(crate) use modes::mode_name;
pub use modes::{InterfaceMode, Modes, ModesInForce, PendingMode, PortMode, SiteMode};
pub use observed::LastObserved;
pub use opening::{Opening, OpeningsInForce};
pub use peers::{Judged, KnownPeer, Peers};
pub use processes::{Confinement, DaemonReport, Predecessor, TerminatorReport};
pub use proof::{Proof, ProofFailure, ProofGroup, ProofShape, ProofUntried};
pub use reloaded::{ReloadOutcome, Reloaded, ReloadedBy};
pub use report::{
    Handshakes, Identity, Interface, MAX_PEERS_SHOWN, Peer, Prefixes, Refused, Requests, Status,
    UpstreamReport, Verdict, from_firewall, peer_list,
};
pub(crate) use report::{interface_warning, timestamp};
pub use request::{Answer, Answers, Asker, Request, Switch, Then, Wish};
pub(crate) use socket::readers_group;
pub use socket::{ControlError, ControlSocket};
pub use upgraded::{Release, Upgraded};
