//! The record of a roll: one file for each site, in the directory `cloudflare` of `paths.state`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aop_api::DeploymentStatus;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::report::HostReport;
use crate::{CertificateId, CertificateLevel, LeafFacts, UploadedCertificate, ZoneId};

/// The version of the file.
const VERSION: u32 = 1;
/// The directory below `paths.state`.
const DIRECTORY: &str = "cloudflare";
const EXTENSION: &str = "json";

/// The replacement of the certificate that is presented to a site: what is wanted, what was there
/// before, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollRecord {
    version: u32,
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
    /// Uploads of ours that were deleted again: timed out, or doubled by a lost answer.
    pub dropped: Vec<CertificateId>,
    /// How many uploads ended as `deployment_timed_out`.
    pub timed_out: u32,
    /// What was there before.
    pub before: RollBefore,
    /// When each step was reached, in this order. The last one is the state.
    pub steps: Vec<StepTime>,
    /// How many hosts must have seen the target, this one among them.
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
    /// Whether Cloudflare has answered.
    pub answered: bool,
}

/// What was at Cloudflare before.
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

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RollRecordError {
    /// It cannot be read or written.
    #[error("{}: {error}; correct paths.state, its permissions, or make room", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// It is damaged.
    #[error(
        "{}: this record of a roll is damaged ({why}). Nothing is begun anew beside it. Look at \
         `aop cloudflare status`: delete certificates that you do not know at Cloudflare, then move \
         this file away, and run the roll again",
        .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The error of the parser.
        why: String,
    },
    /// Another version of aop wrote it.
    #[error(
        "{}: another version of aop wrote this record of a roll (form {found}, this aop knows \
         {VERSION}). Finish the roll with that version, or move this file away and look at \
         `aop cloudflare status`",
        .file.display()
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// Its form.
        found: u64,
    },
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

    /// The directory of the records.
    #[must_use]
    pub fn directory(state: &Path) -> PathBuf {
        state.join(DIRECTORY)
    }

    /// The file of this site with this extension: `json`, `pem`, `key` or `csr`.
    #[must_use]
    pub fn file(state: &Path, site: &str, extension: &str) -> PathBuf {
        Self::directory(state).join(format!("{site}.{extension}"))
    }

    /// The record of `site`, if there is one.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or of another version.
    pub fn load(state: &Path, site: &str) -> Result<Option<Self>, RollRecordError> {
        let file = Self::file(state, site, EXTENSION);
        match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RollRecordError::Unusable { file, error }),
            Ok(text) => Self::parse(file, &text).map(Some),
        }
    }

    /// The records of all sites, by name. One that cannot be used does not hide the others.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn load_all(state: &Path) -> Result<Vec<Result<Self, RollRecordError>>, RollRecordError> {
        let directory = Self::directory(state);
        let unusable = |error| RollRecordError::Unusable { file: directory.clone(), error };
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unusable)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let file = entry.map_err(unusable)?.path();
            let hidden = file.file_name().is_none_or(|it| it.as_encoded_bytes().starts_with(b"."));
            if !hidden && file.extension().is_some_and(|it| it == EXTENSION) {
                files.push(file);
            }
        }
        files.sort_unstable();
        let read = |file: PathBuf| match fs::read(&file) {
            Err(error) => Err(RollRecordError::Unusable { file, error }),
            Ok(text) => Self::parse(file, &text),
        };
        Ok(files.into_iter().map(read).collect())
    }

    fn parse(file: PathBuf, text: &[u8]) -> Result<Self, RollRecordError> {
        #[derive(Deserialize)]
        struct OnlyVersion {
            version: u64,
        }
        match serde_json::from_slice::<OnlyVersion>(text) {
            Err(error) => Err(RollRecordError::Damaged { file, why: error.to_string() }),
            Ok(OnlyVersion { version }) if version != u64::from(VERSION) => {
                Err(RollRecordError::Version { file, found: version })
            }
            Ok(_) => serde_json::from_slice(text)
                .map_err(|error| RollRecordError::Damaged { file, why: error.to_string() }),
        }
    }

    /// Writes the record, so that it survives a crash.
    ///
    /// # Errors
    /// It cannot be written. The old one stays.
    pub fn store(&self, state: &Path) -> Result<(), RollRecordError> {
        let unusable = |error| RollRecordError::Unusable {
            file: Self::file(state, &self.site, EXTENSION),
            error,
        };
        let text = serde_json::to_vec_pretty(self).map_err(|it| unusable(it.into()))?;
        let name = format!("{}.{EXTENSION}", self.site);
        aop_storage::write_private(&Self::directory(state), &name, &text).map_err(unusable)
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

    /// Removes the record and the files beside it.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn remove(&self, state: &Path) -> Result<(), RollRecordError> {
        let directory = Self::directory(state);
        HostReport::remove_all(state, &self.site)?;
        for extension in ["key", "csr", "pem", EXTENSION] {
            let name = format!("{}.{extension}", self.site);
            aop_storage::remove(&directory, &name).map_err(|error| RollRecordError::Unusable {
                file: directory.join(&name),
                error,
            })?;
        }
        Ok(())
    }

    /// Writes down a failure.
    pub fn fail(&mut self, now: Timestamp, text: String) {
        self.failing_since.get_or_insert(now);
        self.last_error = Some(RollError { at: now, text });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(site: &str) -> RollRecord {
        let before = RollBefore {
            global_on: false,
            zone_on: true,
            certificates: Vec::new(),
            associations: Vec::new(),
        };
        let zone = ("z".parse().expect("an id"), "example.com".to_owned());
        RollRecord::new(site.to_owned(), vec![site.to_owned()], zone, RollTarget::Zone, before)
    }

    #[test]
    fn a_record_is_kept_and_one_that_is_cut_or_of_another_version_is_an_error_with_a_cure() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        assert!(RollRecord::load_all(&state).expect("none").is_empty());
        assert!(RollRecord::load(&state, "a.example").expect("none").is_none());
        let (mut first, second) = (record("a.example"), record("*.example"));
        first.fail(Timestamp::UNIX_EPOCH, "no answer".to_owned());
        first.store(&state).expect("stored");
        second.store(&state).expect("stored");
        assert_eq!(RollRecord::load(&state, "a.example").expect("read"), Some(first.clone()));
        let file = RollRecord::file(&state, "*.example", "json");
        let whole = fs::read(&file).expect("read");
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).expect("written");
            let error = RollRecord::load(&state, "*.example").expect_err("it is cut").to_string();
            assert!(error.contains("*.example.json: ") && error.contains("move this"), "{error}");
        }
        let all = RollRecord::load_all(&state).expect("the directory");
        assert!(all[0].is_err() && all[1].as_ref().is_ok_and(|it| *it == first), "{all:?}");
        let newer = String::from_utf8(whole).expect("text");
        fs::write(&file, newer.replace("\"version\": 1", "\"version\": 2")).expect("written");
        let error = RollRecord::load(&state, "*.example").expect_err("it is newer").to_string();
        assert!(error.contains("another version of aop") && error.contains("form 2"), "{error}");
    }
}
