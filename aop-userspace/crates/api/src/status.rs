//! The document of `aop status`.

mod counters;
mod crash;
mod expiry;
mod health;
mod not_enforced;
mod own_certificate;
mod processes;
mod recent_refusals;

use aop_common::Action;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    counters::{
        Handshakes, OpenRequestsReport, RefusalCount, Requests, SlotUsageReport, UpstreamReport,
    },
    crash::{CrashReport, CrashedProcess},
    expiry::{Expiry, ExpiryKind, MAX_EXPIRIES},
    health::{Health, HealthLevel},
    not_enforced::LastObserved,
    own_certificate::OwnCertificate,
    processes::{
        DaemonReport, LandlockReport, Predecessor, SandboxReport, SeccompReport, TerminatorReport,
    },
    recent_refusals::RefusedPeer,
};
use crate::{
    FleetLink, ModeName, ModesReport, Opening, PeerStatus, PendingMode, PrefixStatus, ReloadResult,
    SeenIdentity, names::stable_names,
};

/// Everything that `aop status` shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The version of aop that answers.
    pub version: String,
    /// The daemon; `null` where none runs and only the pinned maps were read.
    pub daemon: Option<DaemonReport>,
    /// The terminator process; `null` where none runs.
    #[serde(default)]
    pub terminator: Option<TerminatorReport>,
    /// The last crash of aop; `null` where none is on record.
    #[serde(default)]
    pub last_crash: Option<CrashReport>,
    /// The last reload; `null` where there was none since the daemon started.
    #[serde(default)]
    pub last_reload: Option<ReloadResult>,
    /// Draining predecessors: daemons that an upgrade has replaced, and that still serve
    /// connections.
    #[serde(default)]
    pub predecessors: Vec<Predecessor>,
    /// Networks that `aop open` admits for a time.
    #[serde(default)]
    pub openings: Vec<Opening>,
    /// The general mode.
    pub mode: ModeName,
    /// Overrides of the general mode, and their cause.
    pub modes: ModesReport,
    /// The guarded interfaces.
    pub interfaces: Vec<InterfaceStatus>,
    /// The interfaces over which the host can be reached, and that cannot be guarded. Only the
    /// daemon finds them, and only under `auto`.
    #[serde(default)]
    pub unguardable: Vec<String>,
    /// The admitted prefixes.
    pub prefixes: PrefixStatus,
    /// The packet counters that are not zero.
    pub verdicts: Vec<VerdictCount>,
    /// The terminator's counters.
    pub handshakes: Handshakes,
    /// The result of requests, on sites that relay requests.
    #[serde(default)]
    pub requests: Requests,
    /// The upstreams of sites that have an `upstream_check`.
    #[serde(default)]
    pub upstreams: Vec<UpstreamReport>,
    /// Authenticated peers, the latest first, at most
    /// [`MAX_PEERS_SHOWN`](crate::MAX_PEERS_SHOWN).
    pub peers: Vec<PeerStatus>,
    /// How many authenticated peers are on record.
    pub peers_total: usize,
    /// The client certificates that peers presented.
    pub identities: Vec<SeenIdentity>,
    /// Certificates and lists that expire next, the soonest first, at most [`MAX_EXPIRIES`].
    #[serde(default)]
    pub ends: Vec<Expiry>,
    /// The operator's own certificates at Cloudflare that aop made, or that `aop cloudflare renew`
    /// looks after.
    #[serde(default)]
    pub cloudflare: Vec<OwnCertificate>,
    /// The link to the fleet; `null` where none is configured, or no daemon runs.
    #[serde(default)]
    pub fleet: Option<FleetLink>,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
}

/// A guarded interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// The XDP mode; `null` where it is not attached.
    pub attach: Option<AttachModeName>,
    /// Which XDP program it has.
    pub state: InterfaceState,
    /// Whether the packet program runs on it.
    pub attached: bool,
    /// Whether all packets that should be dropped are: the program is attached, and enforces for
    /// every guarded port.
    pub enforcing: bool,
}

stable_names! {
    /// Which XDP program an interface has.
    InterfaceState {
        /// The packet program of aop.
        Attached = "attached",
        /// The interface does not exist.
        Missing = "missing",
        /// The program of another owner.
        Foreign = "foreign",
        /// None.
        Detached = "detached",
    }
}

stable_names! {
    /// The XDP mode in which the packet program is attached.
    AttachModeName {
        /// In the driver of the interface.
        Native = "native",
        /// In the kernel, after the driver.
        Generic = "generic",
    }
}

/// A packet counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerdictCount {
    /// The interface.
    pub interface: String,
    /// The action for the packets.
    pub action: ActionName,
    /// The reason's stable name, from the table of packet reasons.
    pub reason: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames.
    pub bytes: u64,
}

stable_names! {
    /// The action for a packet.
    ActionName {
        /// It is passed.
        Pass = "pass",
        /// It is dropped.
        Drop = "drop",
        /// It is passed, since the mode is observe; enforcing would drop it.
        WouldDrop = "would_drop",
    }
}

impl From<Action> for ActionName {
    fn from(action: Action) -> Self {
        match action {
            Action::Pass => Self::Pass,
            Action::Drop => Self::Drop,
            Action::WouldDrop => Self::WouldDrop,
        }
    }
}

impl Status {
    /// Of a host on which nothing is guarded and nothing runs.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            daemon: None,
            terminator: None,
            last_crash: None,
            last_reload: None,
            predecessors: Vec::new(),
            openings: Vec::new(),
            mode: ModeName::Off,
            modes: ModesReport::default(),
            interfaces: Vec::new(),
            unguardable: Vec::new(),
            prefixes: PrefixStatus::default(),
            verdicts: Vec::new(),
            handshakes: Handshakes::default(),
            requests: Requests::default(),
            upstreams: Vec::new(),
            peers: Vec::new(),
            peers_total: 0,
            identities: Vec::new(),
            ends: Vec::new(),
            cloudflare: Vec::new(),
            fleet: None,
            warnings: Vec::new(),
        }
    }

    /// Adds what the maps do not hold about the modes: the value of firewall.mode, if the
    /// configuration can be read, when `aop mode` was last run, and the override that waits for
    /// `aop confirm`. Warns where they differ.
    pub fn explain_modes(
        &mut self,
        configured: Option<ModeName>,
        set_at: Option<Timestamp>,
        pending: Option<PendingMode>,
    ) {
        self.modes.configured = configured;
        self.modes.set_at = set_at;
        self.modes.pending = pending;
        self.warnings.extend(self.modes.warnings(&self.mode));
    }
}
