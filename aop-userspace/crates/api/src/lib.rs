//! The documents of the admin API, and the messages between the daemon and the terminator process:
//! serde shapes, and what follows from them alone. Their names are stable.

mod admitted;
mod audited;
mod bytes;
mod checked;
mod diagnosis;
mod ends;
mod explanation;
mod identities;
mod lately;
mod modes;
mod observed;
mod opening;
mod peers;
mod processes;
mod proof;
mod reloaded;
mod report;
mod request;
pub mod terminator;
mod upgraded;

pub use admitted::{Admitted, AdmittedPrefix, Outcome, Refreshed, admitted_prefixes};
pub use audited::{Audited, AuditedOutcome};
pub use bytes::Bytes;
pub use checked::{Checked, CheckedCertificate, CheckedFile, CheckedList, CheckedSite};
pub use diagnosis::{Diagnosis, Finding, Outcome as FindingOutcome};
pub use ends::{End, MAX_ENDS};
pub use explanation::{BudgetNow, CaptureExplanation, CaptureVerdict, Explanation, ProbationNow};
pub use identities::{Identities, SiteIdentities};
pub use lately::RefusedPeer;
pub use modes::{InterfaceMode, Modes, ModesInForce, PendingMode, PortMode, SiteMode, mode_name};
pub use observed::LastObserved;
pub use opening::{Opening, OpeningsInForce};
pub use peers::{Judged, KnownPeer, Peers};
pub use processes::{Confinement, DaemonReport, Predecessor, TerminatorReport};
pub use proof::{Proof, ProofFailure, ProofGroup, ProofShape, ProofUntried};
pub use reloaded::{ReloadOutcome, Reloaded, ReloadedBy};
pub use report::{
    Handshakes, Identity, Interface, MAX_PEERS_SHOWN, Peer, Prefixes, Refused, Requests, Status,
    UpstreamReport, Verdict, peer_list, timestamp,
};
pub use request::{Request, Switch, Then, Wish};
pub use upgraded::{Release, Upgraded};
