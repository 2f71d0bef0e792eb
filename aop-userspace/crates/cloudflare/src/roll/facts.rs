//! The facts of now: at Cloudflare, in the configuration, and at the daemon.

use aop_api::{DeploymentStatus, IdentityLevel, SeenIdentity, SslMode};
use aop_config::Host;
use jiff::{SignedDuration, Timestamp};

use super::{
    record::{RollRecord, RollTarget},
    report::RollReport,
};
use crate::{CertificateId, CertificateLevel, HostAssociation, UploadedCertificate};

/// The most by which the clock of another host may be ahead.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// The facts for one decision.
#[derive(Clone, Debug)]
pub struct RollFacts {
    /// The SSL mode of the zone.
    pub ssl_mode: SslMode,
    /// Whether the global certificate is switched on.
    pub global_on: bool,
    /// Whether the zone's certificate is switched on.
    pub zone_on: bool,
    /// The certificates of both levels: as listed, and those that the record knows as they are.
    pub certificates: Vec<(CertificateLevel, UploadedCertificate)>,
    /// Whether the list of Cloudflare shows our upload, and with it each one that was made before.
    pub is_listed: bool,
    /// The associations of the hosts of the site that can have one.
    pub associations: Vec<(Host, Option<HostAssociation>)>,
    /// Whether the sites that the target is presented to accept it; empty before it is made.
    pub trust: Vec<SiteTrust>,
    /// The certificates that those sites have seen.
    pub identities: Vec<SeenIdentity>,
    /// The reports of other hosts.
    pub reports: Vec<RollReport>,
}

/// Whether a site accepts the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteTrust {
    /// The name of the site.
    pub site: String,
    /// Why it would refuse it; `None` if it accepts it.
    pub refused: Option<String>,
}

impl RollFacts {
    /// The leaves of the record at its level that are there to stay.
    pub(super) fn ours<'a>(
        &'a self,
        record: &'a RollRecord,
    ) -> impl Iterator<Item = &'a UploadedCertificate> {
        let is_ours = |it: &UploadedCertificate| {
            record.leaf.as_ref().zip(it.leaf.as_ref()).is_some_and(|(ours, it)| ours.is(it))
        };
        let of_level = self.certificates.iter().filter(|it| Some(it.0) == record.level());
        of_level
            .map(|(_, it)| it)
            .filter(move |it| is_ours(it) && stays(it) && !record.dropped.contains(&it.id))
    }

    /// An upload of ours that was to be deleted, and is still there: the deletion was lost.
    pub(super) fn dropped(&self, record: &RollRecord) -> Option<CertificateId> {
        let left = self.certificates.iter().map(|(_, it)| it).filter(|it| stays(it));
        left.map(|it| &it.id).find(|id| record.dropped.contains(id)).cloned()
    }

    /// The certificate with this identifier.
    pub(super) fn certificate(&self, id: &CertificateId) -> Option<&UploadedCertificate> {
        self.certificates.iter().map(|(_, it)| it).find(|it| it.id == *id)
    }

    /// A certificate of the zone's level that is neither ours nor was there before.
    pub(super) fn foreign(&self, record: &RollRecord) -> Option<&UploadedCertificate> {
        let known = |id: &CertificateId| {
            record.before.certificates.iter().any(|it| it.id == *id)
                || record.dropped.contains(id)
                || self.ours(record).any(|it| it.id == *id)
        };
        let of_zone = self.certificates.iter().filter(|it| it.0 == CertificateLevel::Zone);
        of_zone.map(|(_, it)| it).find(|it| stays(it) && !known(&it.id))
    }

    /// When the site of the record last saw the target.
    pub(super) fn target_seen(&self, record: &RollRecord) -> Option<Timestamp> {
        let here = self.identities.iter().filter(|it| it.site == record.site);
        here.filter(|it| is_target(record, it)).map(|it| it.last_seen).max()
    }

    /// The number of hosts, this one among them, that saw the target at `since` or later. Of other
    /// hosts only those whose report is of `reported` or later.
    pub(super) fn hosts_with_target(
        &self,
        record: &RollRecord,
        since: Timestamp,
        reported: Timestamp,
    ) -> usize {
        let sees = |report: &&RollReport| {
            let seen = of_report(record, report).filter(|it| is_target(record, it));
            report.at >= reported && seen.map(|it| it.last_seen).max() >= Some(since)
        };
        let here = usize::from(self.target_seen(record) >= Some(since));
        here + self.reports.iter().filter(sees).count()
    }

    /// When one of the sites, here or on another host, last saw what was presented before. A time
    /// in the future is of a clock that was ahead: the next sighting replaces it.
    pub(super) fn old_seen(&self, record: &RollRecord, now: Timestamp) -> Option<Timestamp> {
        let reported = self.reports.iter().flat_map(|report| of_report(record, report));
        let old = self.identities.iter().chain(reported).filter(|it| is_old(record, it));
        old.map(|it| it.last_seen).filter(|it| *it <= now + CLOCKS_DIFFER).max()
    }
}

/// The certificates of a report that concern the site of the record.
fn of_report<'a>(
    record: &'a RollRecord,
    report: &'a RollReport,
) -> impl Iterator<Item = &'a SeenIdentity> {
    let sites = report.seen.sites.iter().filter(|it| it.site == record.site);
    sites.flat_map(|site| &site.identities)
}

/// Whether `seen` is the certificate that the record puts in place.
pub(super) fn is_target(record: &RollRecord, seen: &SeenIdentity) -> bool {
    match (&record.target, &record.leaf) {
        (RollTarget::BackToGlobal, _) => seen.level == IdentityLevel::Global,
        (RollTarget::Zone | RollTarget::Host | RollTarget::BackToZone, Some(leaf)) => {
            seen.serial == leaf.serial && seen.spki_sha256 == leaf.spki_sha256
        }
        (RollTarget::Zone | RollTarget::Host | RollTarget::BackToZone, None) => false,
    }
}

/// Whether `seen` is one that Cloudflare may have presented before.
pub(super) fn is_old(record: &RollRecord, seen: &SeenIdentity) -> bool {
    let global = record.before.global_on && seen.level == IdentityLevel::Global;
    let known = record.before.certificates.iter().any(|it| {
        it.serial.as_ref() == Some(&seen.serial)
            && it.spki_sha256.as_ref() == Some(&seen.spki_sha256)
    });
    (global || known) && !is_target(record, seen)
}

/// Whether the certificate is, or comes, to the edges; or could not come.
pub(super) fn stays(it: &UploadedCertificate) -> bool {
    match &it.status {
        DeploymentStatus::PendingDeletion
        | DeploymentStatus::Deleted
        | DeploymentStatus::DeletionTimedOut => false,
        DeploymentStatus::Initializing
        | DeploymentStatus::PendingDeployment
        | DeploymentStatus::Active
        | DeploymentStatus::DeploymentTimedOut
        | DeploymentStatus::Unknown(_) => true,
    }
}
