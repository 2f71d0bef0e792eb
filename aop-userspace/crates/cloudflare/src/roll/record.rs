//! The record of a roll: what is wanted, what was before, and how far it is.

use std::path::PathBuf;

use aop_api::DeploymentStatus;
use aop_config::Host;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::record_file::VERSION;
use crate::{CertificateId, CertificateLevel, LeafFacts, UploadedCertificate, ZoneId};

/// The replacement of the certificate that is presented to a site: what is wanted, what was there
/// before, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollRecord {
    pub(super) version: u32,
    /// The name of the site.
    pub site: String,
    /// The hosts of the site, as the configuration has them.
    pub hosts: Vec<String>,
    /// The zone.
    pub zone: ZoneId,
    /// The name of the zone.
    pub zone_name: String,
    /// The certificate that is to be presented.
    pub target: RollTarget,
    /// When the roll was called back; the target is then to go again.
    pub undo: Option<Timestamp>,
    /// The client CA that signs the new leaf; `None` if the site accepts the target already.
    pub ca: Option<PathBuf>,
    /// The new leaf, once it is made; of a way back the leaf that is at Cloudflare already.
    pub leaf: Option<RollLeaf>,
    /// The first upload whose effect is unknown, or the last one.
    pub announced: Option<Announced>,
    /// The identifier of the new leaf at Cloudflare.
    pub uploaded: Option<CertificateId>,
    /// Uploads of ours that were deleted again, or are about to be: timed out, doubled by a lost
    /// answer, or undone.
    pub dropped: Vec<CertificateId>,
    /// The number of uploads that ended as `deployment_timed_out`.
    pub timed_out: u32,
    /// The state before the roll.
    pub before: RollBefore,
    /// When each step was reached, in this order. The last one is the state.
    pub steps: Vec<StepTime>,
    /// The number of hosts that must have seen the target, this one among them.
    pub wait_for: u32,
    /// Milliseconds for which the old certificates must not have been seen.
    pub settle_ms: u64,
    /// Notes for the operator, each once.
    pub notes: Vec<String>,
    /// The last failure; `None` after a success.
    pub last_error: Option<RollError>,
    /// When the failures began without a success since.
    pub failing_since: Option<Timestamp>,
}

/// The certificate that a roll puts in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollTarget {
    /// A new leaf for the zone.
    Zone,
    /// A new leaf for the hosts of the site.
    Host,
    /// Back: the zone's certificate, for hosts that have one of their own.
    BackToZone,
    /// Back: Cloudflare's global certificate.
    BackToGlobal,
}

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollStep {
    /// The leaf and its key are on this host.
    Made,
    /// This host accepts the target, and the daemon has it in force.
    Trusted,
    /// Cloudflare has the leaf.
    Uploaded,
    /// The edges have it.
    Active,
    /// It is switched on, or associated.
    SwitchedOn,
    /// A peer presented it, here and at the other hosts that were waited for.
    Seen,
    /// The old ones were not presented for the settling time. From here on, nothing is undone.
    Settled,
    /// The old ones are deleted.
    Done,
}

/// When a step was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTime {
    /// The step.
    pub step: RollStep,
    /// When it was reached.
    pub at: Timestamp,
}

/// The facts of a leaf of ours. Its certificate is in `SITE.pem` beside the record and, until the
/// edges have it, its key in `SITE.key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollLeaf {
    /// Its serial number, in hex.
    pub serial: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// SHA-256 of the whole certificate, in hex.
    pub sha256: String,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// An upload that is about to be made. Without an answer, it was made or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// When.
    pub at: Timestamp,
    /// Whether Cloudflare has answered, or its list has shown the upload.
    pub answered: bool,
}

/// The state of Cloudflare before the roll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollBefore {
    /// Whether the global certificate was switched on.
    pub global_on: bool,
    /// Whether the zone's certificate was switched on.
    pub zone_on: bool,
    /// The certificates of the zone, and those that hosts of the site were associated with.
    pub certificates: Vec<KnownCertificate>,
    /// The associations of the hosts of the site.
    pub associations: Vec<HostBefore>,
}

/// A certificate that was at Cloudflare before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCertificate {
    /// Its identifier.
    pub id: CertificateId,
    /// Its level.
    pub level: CertificateLevel,
    /// Its state at the edges.
    pub status: DeploymentStatus,
    /// Its serial number, in hex, if it could be read.
    pub serial: Option<String>,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: Option<String>,
    /// Whether the roll deletes it at its end.
    pub replaced: bool,
}

/// The association of a host, as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostBefore {
    /// The host.
    pub host: String,
    /// The certificate; `None` if the host had no association.
    pub certificate: Option<CertificateId>,
    /// Whether it was switched on; `None` if it was void.
    pub enabled: Option<bool>,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollError {
    /// When.
    pub at: Timestamp,
    /// Its text, with the cure.
    pub text: String,
}

impl RollRecord {
    /// The record of a roll that begins.
    #[must_use]
    pub fn new(
        site: String,
        hosts: Vec<String>,
        zone: (ZoneId, String),
        target: RollTarget,
        before: RollBefore,
    ) -> Self {
        Self {
            version: VERSION,
            site,
            hosts,
            zone: zone.0,
            zone_name: zone.1,
            target,
            undo: None,
            ca: None,
            leaf: None,
            announced: None,
            uploaded: None,
            dropped: Vec::new(),
            timed_out: 0,
            before,
            steps: Vec::new(),
            wait_for: 1,
            settle_ms: 600_000,
            notes: Vec::new(),
            last_error: None,
            failing_since: None,
        }
    }

    /// The last step that was reached.
    #[must_use]
    pub fn step(&self) -> Option<RollStep> {
        self.steps.last().map(|it| it.step)
    }

    /// Whether `step` was reached.
    #[must_use]
    pub fn has_reached(&self, step: RollStep) -> bool {
        self.steps.iter().any(|it| it.step == step)
    }

    /// When `step` was reached.
    #[must_use]
    pub fn reached_at(&self, step: RollStep) -> Option<Timestamp> {
        self.steps.iter().find(|it| it.step == step).map(|it| it.at)
    }

    /// Whether it is over: its end was reached.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.has_reached(RollStep::Done)
    }

    /// When it began to go wrong, for as long as it does.
    #[must_use]
    pub fn failing_for(&self, now: Timestamp) -> Option<SignedDuration> {
        self.failing_since.map(|since| now.duration_since(since))
    }

    /// Takes back to `now` the times that lie after it: the clock was ahead when they were written,
    /// and was corrected. The roll would wait until it is that late again.
    pub fn correct_times(&mut self, now: Timestamp) {
        let steps = self.steps.iter_mut().map(|it| &mut it.at);
        let announced = self.announced.iter_mut().map(|it| &mut it.at);
        let times = steps.chain(announced).chain(&mut self.undo).chain(&mut self.failing_since);
        times.for_each(|at| *at = (*at).min(now));
    }

    /// Writes down a step that was reached.
    pub fn reach(&mut self, step: RollStep, now: Timestamp) {
        if !self.has_reached(step) {
            self.steps.push(StepTime { step, at: now });
        }
    }

    /// Writes down a note, once.
    pub fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Writes down a failure.
    pub fn fail(&mut self, now: Timestamp, text: String) {
        self.failing_since.get_or_insert(now);
        self.last_error = Some(RollError { at: now, text });
    }

    /// Whether the roll leaves the association of `host` alone: the zone's certificate is renewed
    /// for the other hosts.
    pub(super) fn keeps_association(&self, host: &Host) -> bool {
        self.target == RollTarget::Zone
            && self
                .before
                .associations
                .iter()
                .any(|it| it.host == host.as_str() && it.enabled.is_some())
    }

    /// The level of the target; `None` for the global certificate.
    #[must_use]
    pub fn level(&self) -> Option<CertificateLevel> {
        match self.target {
            RollTarget::Zone | RollTarget::BackToZone => Some(CertificateLevel::Zone),
            RollTarget::Host => Some(CertificateLevel::Host),
            RollTarget::BackToGlobal => None,
        }
    }
}

impl RollLeaf {
    /// Whether `other` is this leaf.
    #[must_use]
    pub fn is(&self, other: &LeafFacts) -> bool {
        self.serial == other.serial && self.spki_sha256 == other.spki_sha256
    }
}

impl From<&LeafFacts> for RollLeaf {
    fn from(facts: &LeafFacts) -> Self {
        Self {
            serial: facts.serial.clone(),
            spki_sha256: facts.spki_sha256.clone(),
            sha256: facts.sha256.clone(),
            not_after: facts.not_after,
        }
    }
}

impl KnownCertificate {
    /// A certificate as Cloudflare lists it now.
    #[must_use]
    pub fn of(level: CertificateLevel, it: &UploadedCertificate, replaced: bool) -> Self {
        Self {
            id: it.id.clone(),
            level,
            status: it.status.clone(),
            serial: it.leaf.as_ref().map(|leaf| leaf.serial.clone()),
            spki_sha256: it.leaf.as_ref().map(|leaf| leaf.spki_sha256.clone()),
            replaced,
        }
    }
}

impl RollStep {
    /// All steps, in their order.
    pub const ALL: [Self; 8] = [
        Self::Made,
        Self::Trusted,
        Self::Uploaded,
        Self::Active,
        Self::SwitchedOn,
        Self::Seen,
        Self::Settled,
        Self::Done,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Trusted => "trusted",
            Self::Uploaded => "uploaded",
            Self::Active => "active",
            Self::SwitchedOn => "switched_on",
            Self::Seen => "seen",
            Self::Settled => "settled",
            Self::Done => "done",
        }
    }
}

impl RollTarget {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Host => "host",
            Self::BackToZone => "back_to_zone",
            Self::BackToGlobal => "back_to_global",
        }
    }
}
