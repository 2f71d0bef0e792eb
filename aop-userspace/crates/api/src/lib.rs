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

pub use admitted::{Admitted, AdmittedPrefix, Outcome, RefreshResult, admitted_prefixes};
pub use audited::{AuditEntry, AuditOutcome};
pub use bytes::ByteString;
pub use checked::{CheckReport, CheckedCertificate, CheckedFile, CheckedList, CheckedSite};
pub use diagnosis::{Diagnosis, Finding, Outcome as FindingOutcome};
pub use ends::{Expiry, MAX_EXPIRIES};
pub use explanation::{BudgetNow, CaptureExplanation, CaptureVerdict, Explanation, ProbationNow};
pub use identities::{SeenIdentities, SiteIdentities};
pub use lately::RefusedPeer;
pub use modes::{
    InterfaceMode, ModesInForce, ModesReport, PendingMode, PortMode, SiteMode, mode_name,
};
pub use observed::LastObserved;
pub use opening::{Opening, OpeningsInForce};
pub use peers::{AdmissionContext, KnownPeer, PeersReport};
pub use processes::{DaemonReport, Predecessor, SandboxReport, TerminatorReport};
pub use proof::{ProofFailure, ProofGroup, ProofShape, ProofUntried, ProveReport};
pub use reloaded::{ReloadOutcome, ReloadResult, ReloadedBy};
pub use report::{
    Handshakes, InterfaceStatus, MAX_PEERS_SHOWN, PeerStatus, PrefixStatus, RefusalCount, Requests,
    SeenIdentity, Status, UpstreamReport, VerdictCount, peer_list, timestamp,
};
pub use request::{ModeChange, ModeTarget, RefreshAction, Request};
pub use upgraded::{Release, UpgradeResult};
