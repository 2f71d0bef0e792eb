//! Decides how a roll is taken back, until the old certificates are about to be deleted.

use aop_api::DeploymentStatus;
use aop_config::Host;
use jiff::{SignedDuration, Timestamp};

use super::{
    facts::RollFacts,
    record::{HostBefore, RollRecord, RollStep, RollTarget},
    step::{RollAction, RollNext, stopped, wait},
};
use crate::{AssociationChange, CertificateLevel, HostAssociation};

pub(super) fn next(
    record: &RollRecord,
    facts: &RollFacts,
    list_lag: SignedDuration,
    now: Timestamp,
) -> RollNext {
    associations(record, facts)
        .or_else(|| zone_switch(record, facts))
        .or_else(|| old_seen_again(record, facts, now))
        .or_else(|| global_switch(record, facts))
        .or_else(|| ours(record, facts, list_lag, now))
        .unwrap_or(RollNext::Undone)
}

/// The associations, as they were. One that is neither ours nor void was made by hand, and stays.
fn associations(record: &RollRecord, facts: &RollFacts) -> Option<RollNext> {
    let changes: Vec<_> =
        facts.associations.iter().filter_map(|it| change(record, &it.0, it.1.as_ref())).collect();
    if !changes.is_empty() {
        return Some(RollNext::Act(RollAction::Associate(changes)));
    }
    let late = facts.associations.iter().find(|(_, it)| {
        let it = it.as_ref().filter(|it| it.enabled.is_some());
        it.is_some_and(|it| it.status != DeploymentStatus::Active)
    })?;
    Some(wait(format!("the edges to know the association of {}", late.0), None))
}

fn change(
    record: &RollRecord,
    host: &Host,
    now: Option<&HostAssociation>,
) -> Option<AssociationChange> {
    if record.keeps_association(host) {
        return None;
    }
    let before = record.before.associations.iter().find(|it| it.host == host.as_str())?;
    let now = now.filter(|it| it.enabled.is_some());
    let is_ours = now.is_some_and(|it| Some(&it.certificate) == record.uploaded.as_ref());
    let (certificate, enabled) = match (before, now) {
        (HostBefore { certificate: Some(id), enabled: Some(on), .. }, now) => {
            let same = now.is_some_and(|it| it.certificate == *id && it.enabled == Some(*on));
            if same || (now.is_some() && !is_ours) {
                return None;
            }
            (id.clone(), Some(*on))
        }
        (HostBefore { .. }, Some(now)) if is_ours => (now.certificate.clone(), None),
        (HostBefore { .. }, _) => return None,
    };
    Some(AssociationChange { host: host.clone(), certificate, enabled })
}

/// The switch of the zone, if the roll changes it. A change of another switch was made by hand, and
/// stays.
fn zone_switch(record: &RollRecord, facts: &RollFacts) -> Option<RollNext> {
    let on = record.before.zone_on;
    let changed = match record.target {
        RollTarget::Zone | RollTarget::BackToZone => !on,
        RollTarget::BackToGlobal => on,
        RollTarget::Host => false,
    };
    (changed && facts.zone_on != on).then_some(RollNext::Act(RollAction::SwitchZone(on)))
}

/// The global certificate is switched off at the end, once something else is seen.
fn global_switch(record: &RollRecord, facts: &RollFacts) -> Option<RollNext> {
    let changed = record.target == RollTarget::BackToGlobal && !record.before.global_on;
    (changed && facts.global_on).then_some(RollNext::Act(RollAction::SwitchGlobal(false)))
}

/// Whether ours was deployed beside old certificates of the zone. Then the old ones come back only
/// when ours is deleted.
fn hides_old(record: &RollRecord) -> bool {
    record.target == RollTarget::Zone && record.before.zone_on
}

/// The certificate of before must be presented again, if ours ever was.
fn old_seen_again(record: &RollRecord, facts: &RollFacts, now: Timestamp) -> Option<RollNext> {
    let presented = record.before.global_on
        || (record.before.zone_on && !record.before.certificates.is_empty())
        || (record.target != RollTarget::Zone
            && record.before.associations.iter().any(|it| it.enabled == Some(true)));
    if hides_old(record) || !presented {
        return None;
    }
    let begun = record.announced.map(|it| it.at).or(record.reached_at(RollStep::SwitchedOn))?;
    let replaced = facts.target_seen(record).is_some_and(|it| it >= begun);
    let again = facts.old_seen(record, now).is_some_and(|it| Some(it) >= record.undo);
    (replaced && !again).then(|| wait("a pull with the old certificate at this host", None))
}

fn ours(
    record: &RollRecord,
    facts: &RollFacts,
    list_lag: SignedDuration,
    now: Timestamp,
) -> Option<RollNext> {
    // Without an upload of its own there is nothing to delete.
    let announced = record.announced?;
    let Some(ours) = facts.dropped(record).or(facts.ours(record).next().map(|it| it.id.clone()))
    else {
        let unclear = !announced.answered && now < announced.at + list_lag;
        let until = Some(announced.at + list_lag);
        return unclear
            .then(|| wait("Cloudflare's list, to see whether the upload was made", until));
    };
    let old_is_active = facts.certificates.iter().any(|(level, it)| {
        let known = record.before.certificates.iter().any(|before| before.id == it.id);
        *level == CertificateLevel::Zone && known && it.status == DeploymentStatus::Active
    });
    if hides_old(record)
        && record.before.certificates.iter().any(|it| it.replaced)
        && !old_is_active
    {
        return Some(stopped(
            "the old certificate of the zone is no longer active: without the new one, Cloudflare \
             would present none",
            "upload the old one again; or run the roll to its end without `--undo`",
        ));
    }
    Some(RollNext::Act(RollAction::Drop(ours)))
}
