//! Foretells a roll: every change takes effect at once, and every wait is met.

use aop_api::{DeploymentStatus, IdentityLevel, SeenIdentity};
use jiff::{SignedDuration, Timestamp};

use super::{
    facts::RollFacts,
    record::{Announced, RollLeaf, RollRecord},
    step::{RollAction, RollNext, next},
};
use crate::{CertificateId, HostAssociation, LeafFacts, UploadedCertificate};

/// More turns than any roll takes.
const MOST_TURNS: usize = 1000;
/// A text in place of a leaf that is not made yet, and of its identifier.
const NEW: &str = "new";

/// All that a roll will do and wait for, to its end.
#[must_use]
pub fn plan(mut record: RollRecord, mut facts: RollFacts, mut now: Timestamp) -> Vec<RollNext> {
    let mut planned = Vec::new();
    for _ in 0..MOST_TURNS {
        let then = next(&record, &facts, SignedDuration::ZERO, now);
        match &then {
            RollNext::Act(action) => apply(&mut record, &mut facts, action, now),
            RollNext::Reached(step) => record.reach(*step, now),
            RollNext::Found(id) => record.uploaded = Some(id.clone()),
            RollNext::Wait { until, .. } => {
                now = until.unwrap_or(now).max(now + SignedDuration::from_secs(1));
                // Other hosts report in time.
                record.wait_for = 1;
                meet(&record, &mut facts, now);
            }
            RollNext::Stopped { .. } | RollNext::Done | RollNext::Undone => {
                planned.push(then);
                break;
            }
        }
        planned.push(then);
    }
    planned
}

fn apply(record: &mut RollRecord, facts: &mut RollFacts, action: &RollAction, now: Timestamp) {
    match action {
        RollAction::MakeLeaf => {
            record.leaf = Some(RollLeaf {
                serial: NEW.to_owned(),
                spki_sha256: NEW.to_owned(),
                sha256: NEW.to_owned(),
                not_after: now,
            });
        }
        RollAction::Trust(_) => {
            facts.trust.iter_mut().for_each(|it| it.refused = None);
            record.reach(super::record::RollStep::Trusted, now);
        }
        RollAction::Upload => {
            record.announced = Some(Announced { at: now, answered: true });
            if let (Some(level), Some(leaf), Ok(id)) =
                (record.level(), &record.leaf, NEW.parse::<CertificateId>())
            {
                let status = DeploymentStatus::PendingDeployment;
                facts.certificates.push((level, uploaded(id, status, leaf, now)));
            }
        }
        RollAction::Drop(id) | RollAction::DeleteOld(_, id) => {
            facts.certificates.retain(|(_, it)| it.id != *id);
            if record.uploaded.as_ref() == Some(id) {
                (record.uploaded, record.announced) = (None, None);
            }
        }
        RollAction::SwitchGlobal(on) => facts.global_on = *on,
        RollAction::SwitchZone(on) => facts.zone_on = *on,
        RollAction::Associate(changes) => {
            for change in changes {
                let found = facts.associations.iter_mut().find(|it| it.0 == change.host);
                let Some((_, association)) = found else { continue };
                *association = change.enabled.map(|on| HostAssociation {
                    certificate: change.certificate.clone(),
                    status: DeploymentStatus::PendingDeployment,
                    certificate_status: None,
                    enabled: Some(on),
                    expires_on: None,
                });
            }
        }
    }
}

fn uploaded(
    id: CertificateId,
    status: DeploymentStatus,
    leaf: &RollLeaf,
    now: Timestamp,
) -> UploadedCertificate {
    let facts = LeafFacts {
        subject: NEW.to_owned(),
        issuers: Vec::new(),
        serial: leaf.serial.clone(),
        spki_sha256: leaf.spki_sha256.clone(),
        sha256: leaf.sha256.clone(),
        not_before: now,
        not_after: leaf.not_after,
        chain: Vec::new(),
    };
    let (uploaded_on, expires_on) = (Some(now), Some(leaf.not_after));
    UploadedCertificate { id, status, uploaded_on, expires_on, leaf: Some(facts) }
}

/// Each wait ends well: the edges follow, and a peer presents the certificate that is next.
fn meet(record: &RollRecord, facts: &mut RollFacts, now: Timestamp) {
    let mut late = !facts.is_listed;
    facts.is_listed = true;
    let mut follow = |status: &mut DeploymentStatus| {
        late |= *status != DeploymentStatus::Active;
        *status = DeploymentStatus::Active;
    };
    facts.certificates.iter_mut().for_each(|(_, it)| follow(&mut it.status));
    for (_, association) in &mut facts.associations {
        association.iter_mut().for_each(|it| follow(&mut it.status));
    }
    if late {
        return;
    }
    let old = record.before.certificates.iter().find_map(|it| {
        Some((it.serial.clone()?, it.spki_sha256.clone()?)).filter(|_| record.undo.is_some())
    });
    let new = record.leaf.as_ref().map(|it| (it.serial.clone(), it.spki_sha256.clone()));
    let own = old.or_else(|| new.filter(|_| record.undo.is_none()));
    let level = if own.is_some() { IdentityLevel::Own } else { IdentityLevel::Global };
    let (serial, spki_sha256) = own.unwrap_or_default();
    facts.identities.push(SeenIdentity {
        site: record.site.clone(),
        subject: String::new(),
        issuer: String::new(),
        spki_sha256,
        serial,
        not_before: now,
        not_after: now,
        level,
        client_ca: None,
        first_seen: now,
        last_seen: now,
        pulls: 1,
        roll: None,
    });
}
