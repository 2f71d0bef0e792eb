//! The documents of the admin API, and the messages between the daemon and the terminator process:
//! serde shapes, and what follows from them alone. Names in JSON are stable: fields are added,
//! never renamed. A field with a closed set of names is an enum; a name that this version does not
//! know is kept as `Unknown`. Reasons stay text: their names come from the tables of packet
//! reasons and of refusals.
//!
//! Nothing here reads a file, a map or a socket.

mod audit;
mod byte_string;
mod ca;
mod check;
mod cloudflare;
mod doctor;
mod explain;
mod fleet;
mod handover;
mod identities;
mod init;
mod modes;
mod names;
mod openings;
mod order;
mod overview;
mod peers;
mod prefixes;
mod prove;
mod reload;
mod renewal;
mod request;
mod roll;
mod status;
mod strangers;
pub mod terminator;
mod timestamp;

pub use audit::{AuditEntry, AuditOutcome};
use byte_string::ByteString;
pub use ca::{CaCertificate, CaFile, CaFitness, CaKey, CaMade, CaRequest, CaShown, days_until};
pub use check::{
    CheckReport, CheckedCa, CheckedCertificate, CheckedCloudflare, CheckedFile, CheckedFleet,
    CheckedList, CheckedSite, FileRoleName,
};
pub use cloudflare::{
    CertificateAtCloudflare, CloudflareFinding, CloudflareReport, DeploymentStatus,
    HostAtCloudflare, IdentitiesFrom, PresentedLevel, SiteAtCloudflare, SslMode, TrustedCa,
    ZoneAtCloudflare,
};
pub use doctor::{Diagnosis, Finding, FindingGroup, FindingOutcome, VisitorError};
pub use explain::{
    BudgetExemption, BudgetNow, CaptureExplanation, CaptureVerdict, Explanation, ProbationNow,
    StandingName,
};
pub use fleet::{
    CertificateUse, FleetCell, FleetCertificate, FleetCertificateRow, FleetEnd, FleetHost,
    FleetHostState, FleetIdentities, FleetLink, FleetLinkState, FleetModeSums, FleetOrderRow,
    FleetOrdered, FleetOrders, FleetOverview, FleetPageData, FleetReport, FleetShare, FleetSums,
    HostPulls, OperatorKeyMade, OrderedHost, OrderedWave, OriginReport, ReportedIdentity,
    ReportedInterface, ReportedList, ReportedSite, StoppedHost, StoredOrder, WaitingHost, WavePlan,
};
pub use handover::{Release, UpgradeResult};
pub use identities::{IdentityLevel, RollMark, SeenIdentities, SeenIdentity, SiteIdentities};
pub use init::{InitReport, InitSite, NotTakenOver};
pub use modes::{
    InterfaceMode, ModeName, ModesInForce, ModesReport, OnRefusalName, PendingMode, PortMode,
    SiteMode,
};
pub use openings::{Opening, OpeningsInForce};
pub use order::{Order, OrderResult, OrderState, OrderedBy, OrderedHosts, Wave};
pub use overview::{Listed, Overview, OverviewState, PacketSum, ReasonSum};
pub use peers::{KnownPeer, MAX_PEERS_SHOWN, OutsideTrust, PeerStatus, PeersReport, peer_list};
pub use prefixes::{
    AdmissionContext, AdmissionSource, Admitted, AdmittedPrefix, ListOriginName, PrefixStatus,
    RefreshOutcome, RefreshResult,
};
pub use prove::{ProofFailure, ProofGroup, ProofShape, ProofUntried, ProveReport};
pub use reload::{ReloadOutcome, ReloadResult, ReloadedBy};
pub use renewal::{RenewalOutcome, RenewalReport, RenewedSite};
pub use request::{ModeChange, ModeTarget, RefreshAction, Request};
pub use roll::{RollResult, RollState, RollStepAt};
pub use status::{
    ActionName, AttachModeName, CrashReport, CrashedProcess, DaemonReport, Expiry, ExpiryKind,
    Handshakes, Health, HealthLevel, InterfaceState, InterfaceStatus, LandlockReport, LastObserved,
    MAX_EXPIRIES, OpenRequestsReport, OwnCertificate, Predecessor, RefusalCount, RefusedPeer,
    Requests, SandboxReport, SeccompReport, SlotUsageReport, Status, TerminatorReport,
    UpstreamReport, VerdictCount,
};
pub use strangers::{StrangerContext, StrangerKind, StrangerStatus, StrangersReport};
pub use timestamp::{duration_text, moment_text, timestamp, until_text, utc_text};
