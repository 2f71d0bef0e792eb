//! Decides what comes next in a roll. Pure: it asks nobody.

#[cfg(test)]
mod tests;

use aop_api::DeploymentStatus;
use jiff::{SignedDuration, Timestamp};

use super::{
    facts::RollFacts,
    record::{RollRecord, RollStep, RollTarget},
    undo,
};
use crate::{AssociationChange, CertificateId, CertificateLevel, UploadedCertificate};

/// The most uploads after the first one that ended as `deployment_timed_out`.
const MOST_TIMED_OUT: u32 = 3;

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollNext {
    /// Do this; then look again.
    Act(RollAction),
    /// Write down that this step is reached.
    Reached(RollStep),
    /// Write down the identifier of our leaf at Cloudflare.
    Found(CertificateId),
    /// Wait for this.
    Wait {
        /// The event that is waited for.
        what: String,
        /// When it is over at the latest, if that is known.
        until: Option<Timestamp>,
    },
    /// It cannot go on by itself.
    Stopped {
        /// The reason.
        why: String,
        /// The cure.
        cure: String,
    },
    /// The target is in place.
    Done,
    /// Everything is as it was before.
    Undone,
}

/// A change. Each may be repeated, for its effect is looked for first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollAction {
    /// Make the leaf and its key.
    MakeLeaf,
    /// Let these sites accept the target, and have that in force.
    Trust(Vec<String>),
    /// Upload the leaf. The record says so before.
    Upload,
    /// Delete an upload of ours: it timed out, is one too many, or is undone.
    Drop(CertificateId),
    /// Switch the global certificate.
    SwitchGlobal(bool),
    /// Switch the zone's certificate.
    SwitchZone(bool),
    /// Associate hosts, or void that.
    Associate(Vec<AssociationChange>),
    /// Delete a certificate that was there before.
    DeleteOld(CertificateLevel, CertificateId),
}

pub(super) fn stopped(why: impl Into<String>, cure: impl Into<String>) -> RollNext {
    RollNext::Stopped { why: why.into(), cure: cure.into() }
}

/// A cure, with the other one as long as it is to be had.
fn or_undo(record: &RollRecord, cure: &str) -> String {
    let undo = if record.has_reached(RollStep::Settled) { "" } else { ", or `--undo`" };
    format!("{cure}{undo}")
}

pub(super) fn wait(what: impl Into<String>, until: Option<Timestamp>) -> RollNext {
    RollNext::Wait { what: what.into(), until }
}

/// Decides. `list_lag` is how long a list of Cloudflare may not show an upload.
#[must_use]
pub fn next(
    record: &RollRecord,
    facts: &RollFacts,
    list_lag: SignedDuration,
    now: Timestamp,
) -> RollNext {
    // After that the old certificate is deleted, or about to be: there is nothing to go back to.
    if record.undo.is_some() && !record.has_reached(RollStep::Settled) {
        return undo::next(record, facts, list_lag, now);
    }
    // The first part that has something to do decides.
    let parts = || {
        speaks_tls(facts)
            .or_else(|| made(record))
            .or_else(|| trusted(record, facts))
            .or_else(|| uploaded(record, facts, list_lag, now))
            .or_else(|| switched_on(record, facts))
            .or_else(|| seen(record, facts, now))
            .or_else(|| settled(record, facts, now))
            .or_else(|| deleted(record, facts))
    };
    if record.is_done() { RollNext::Done } else { parts().unwrap_or(RollNext::Done) }
}

fn reached(record: &RollRecord, step: RollStep) -> Option<RollNext> {
    (!record.has_reached(step)).then_some(RollNext::Reached(step))
}

fn speaks_tls(facts: &RollFacts) -> Option<RollNext> {
    (facts.ssl_mode.presents_certificates() == Some(false)).then(|| {
        stopped(
            format!(
                "the SSL mode of the zone is {}: Cloudflare presents no certificate at all",
                facts.ssl_mode
            ),
            "set it to Full (strict), and run this again",
        )
    })
}

fn made(record: &RollRecord) -> Option<RollNext> {
    match (record.level(), &record.leaf) {
        (Some(_), None) => Some(RollNext::Act(RollAction::MakeLeaf)),
        (Some(_) | None, _) => reached(record, RollStep::Made),
    }
}

fn trusted(record: &RollRecord, facts: &RollFacts) -> Option<RollNext> {
    let refusing = facts.trust.iter().filter(|it| it.refused.is_some());
    let refusing: Vec<_> = refusing.collect();
    match (record.has_reached(RollStep::Trusted), refusing.first()) {
        (true, Some(first)) => Some(stopped(
            format!(
                "the site {} accepted the new certificate, and no longer does ({}): the \
                 configuration was changed meanwhile",
                first.site,
                first.refused.as_deref().unwrap_or_default()
            ),
            or_undo(record, "let it accept the certificate again and run this again"),
        )),
        (false, _) => {
            let sites = refusing.iter().map(|it| it.site.clone()).collect();
            Some(RollNext::Act(RollAction::Trust(sites)))
        }
        (true, None) => None,
    }
}

fn uploaded(
    record: &RollRecord,
    facts: &RollFacts,
    list_lag: SignedDuration,
    now: Timestamp,
) -> Option<RollNext> {
    record.level()?;
    if let Some(dropped) = facts.dropped(record) {
        return Some(RollNext::Act(RollAction::Drop(dropped)));
    }
    let ours: Vec<&UploadedCertificate> = facts.ours(record).collect();
    let known = ours.iter().copied().find(|it| Some(&it.id) == record.uploaded.as_ref());
    let active = ours.iter().copied().find(|it| it.status == DeploymentStatus::Active);
    let Some(kept) = known.or(active).or(ours.first().copied()) else {
        return Some(not_there(record, list_lag, now));
    };
    if let Some(double) = ours.iter().find(|it| it.id != kept.id) {
        return Some(RollNext::Act(RollAction::Drop(double.id.clone())));
    }
    if record.uploaded.as_ref() != Some(&kept.id) {
        return Some(RollNext::Found(kept.id.clone()));
    }
    if let Some(foreign) = facts.foreign(record).filter(|_| record.target != RollTarget::Host) {
        return Some(stopped(
            format!(
                "somebody uploaded another certificate to the zone meanwhile ({}); Cloudflare \
                 presents the one that was deployed last",
                foreign.id
            ),
            or_undo(record, "delete it in the dashboard and run this again"),
        ));
    }
    reached(record, RollStep::Uploaded).or_else(|| match &kept.status {
        DeploymentStatus::Active => reached(record, RollStep::Active),
        DeploymentStatus::DeploymentTimedOut if record.timed_out < MOST_TIMED_OUT => {
            Some(RollNext::Act(RollAction::Drop(kept.id.clone())))
        }
        DeploymentStatus::DeploymentTimedOut => Some(stopped(
            format!(
                "Cloudflare did not bring the certificate to its edges in {} attempts \
                 (deployment_timed_out)",
                MOST_TIMED_OUT + 1
            ),
            "look at Cloudflare's status page; later, run this again after `--undo`",
        )),
        other @ (DeploymentStatus::Initializing
        | DeploymentStatus::PendingDeployment
        | DeploymentStatus::PendingDeletion
        | DeploymentStatus::Deleted
        | DeploymentStatus::DeletionTimedOut
        | DeploymentStatus::Unknown(_)) => {
            Some(wait(format!("the edges to have the certificate; it is {other}"), None))
        }
    })
}

/// Our leaf is not among the certificates.
fn not_there(record: &RollRecord, list_lag: SignedDuration, now: Timestamp) -> RollNext {
    match record.announced {
        _ if record.uploaded.is_some() => stopped(
            "the new certificate was deleted at Cloudflare, by hand or by another program",
            match record.has_reached(RollStep::Settled) {
                false => "`--undo` brings back what was before; then begin a new roll".to_owned(),
                true => format!(
                    "move the record of this roll away (cloudflare/{}.json in paths.state), and \
                     begin a new roll: nothing more is deleted until then",
                    record.site
                ),
            },
        ),
        Some(announced) if now < announced.at + list_lag => wait(
            "Cloudflare's list, to see whether the upload was made",
            Some(announced.at + list_lag),
        ),
        Some(_) | None => RollNext::Act(RollAction::Upload),
    }
}

fn switched_on(record: &RollRecord, facts: &RollFacts) -> Option<RollNext> {
    let was_on = record.has_reached(RollStep::SwitchedOn);
    let by_hand = |what: &str| {
        let why = format!("{what}, by hand or by another program");
        Some(stopped(why, or_undo(record, "put it back and run this again")))
    };
    match record.target {
        RollTarget::Zone | RollTarget::BackToZone if !facts.zone_on => {
            if was_on {
                return by_hand("the zone's certificate was switched off");
            }
            return Some(RollNext::Act(RollAction::SwitchZone(true)));
        }
        RollTarget::BackToGlobal if !facts.global_on => {
            if was_on {
                return by_hand("the global certificate was switched off");
            }
            return Some(RollNext::Act(RollAction::SwitchGlobal(true)));
        }
        RollTarget::BackToGlobal if facts.zone_on => {
            if was_on {
                return by_hand("the zone's certificate was switched on");
            }
            return Some(RollNext::Act(RollAction::SwitchZone(false)));
        }
        RollTarget::Zone | RollTarget::Host | RollTarget::BackToZone | RollTarget::BackToGlobal => {
        }
    }
    let changes = association_changes(record, facts);
    if let Some(change) = changes.first() {
        let host = &change.host;
        let taken = facts.associations.iter().find(|it| it.0 == *host).and_then(|it| it.1.as_ref());
        let before = record.before.associations.iter().find(|it| it.host == host.as_str());
        let unchanged = taken.map(|it| (&it.certificate, it.enabled))
            == before.and_then(|it| Some((it.certificate.as_ref()?, it.enabled)))
            || taken.is_none_or(|it| it.enabled.is_none())
            || taken.is_some_and(|it| Some(&it.certificate) == record.uploaded.as_ref());
        if was_on || !unchanged {
            return by_hand(&format!("the association of {host} was changed"));
        }
        return Some(RollNext::Act(RollAction::Associate(changes)));
    }
    let late = facts.associations.iter().find(|(_, it)| {
        let it = it.as_ref().filter(|it| it.enabled.is_some());
        it.is_some_and(|it| it.status != DeploymentStatus::Active)
    });
    if let Some((host, Some(association))) = late {
        let what =
            format!("the edges to know the association of {host}; it is {}", association.status);
        return Some(wait(what, None));
    }
    reached(record, RollStep::SwitchedOn)
}

/// The changes that the associations still lack.
fn association_changes(record: &RollRecord, facts: &RollFacts) -> Vec<AssociationChange> {
    let change = |(host, now): &(aop_config::Host, Option<crate::HostAssociation>)| {
        let now = now.as_ref().filter(|it| it.enabled.is_some());
        if record.keeps_association(host) {
            return None;
        }
        let (certificate, enabled) = match record.target {
            RollTarget::Host => {
                let ours = record.uploaded.clone()?;
                if now.is_some_and(|it| it.certificate == ours && it.enabled == Some(true)) {
                    return None;
                }
                (ours, Some(true))
            }
            RollTarget::Zone | RollTarget::BackToZone | RollTarget::BackToGlobal => {
                (now?.certificate.clone(), None)
            }
        };
        Some(AssociationChange { host: host.clone(), certificate, enabled })
    };
    facts.associations.iter().filter_map(change).collect()
}

/// From when on a pull with the target shows that the edge presents it.
fn since(record: &RollRecord) -> Option<Timestamp> {
    record.announced.map(|it| it.at).or_else(|| record.reached_at(RollStep::SwitchedOn))
}

fn seen(record: &RollRecord, facts: &RollFacts, now: Timestamp) -> Option<RollNext> {
    if record.has_reached(RollStep::Seen) {
        return None;
    }
    let since = since(record)?;
    let fresh = |seen: Option<Timestamp>| seen.is_some_and(|it| it >= since);
    if !fresh(facts.target_seen(record)) {
        let old = facts.old_seen(record, now).map_or(String::new(), |old| {
            format!("; the old one last came {}", aop_api::utc_text(old))
        });
        let what = format!("a pull with the new certificate at this host{old}");
        return Some(wait(what, None));
    }
    let hosts = facts.hosts_with_target(record, since, Timestamp::MIN);
    if hosts < record.wait_for as usize {
        let what =
            format!("{hosts} of {} hosts have seen it; `aop cloudflare report`", record.wait_for);
        return Some(wait(what, None));
    }
    Some(RollNext::Reached(RollStep::Seen))
}

fn settled(record: &RollRecord, facts: &RollFacts, now: Timestamp) -> Option<RollNext> {
    if record.has_reached(RollStep::Settled) {
        return None;
    }
    let old = facts.old_seen(record, now);
    let quiet_since = record.reached_at(RollStep::Seen).max(old)?;
    let settle = SignedDuration::from_millis(i64::try_from(record.settle_ms).unwrap_or(i64::MAX));
    let until = quiet_since.saturating_add(settle).unwrap_or(Timestamp::MAX);
    if now < until {
        let what = match old.filter(|old| Some(*old) > record.reached_at(RollStep::Seen)) {
            Some(_) => {
                "the edge still presented the old certificate after the new one; waiting \
                        until it comes no more"
            }
            None => "the old certificate to be presented no more",
        };
        return Some(wait(what, Some(until)));
    }
    let late = facts.hosts_with_target(record, since(record)?, until);
    if late < record.wait_for as usize {
        let what = format!(
            "{late} of {} hosts have seen the old one no more; `aop cloudflare report`",
            record.wait_for
        );
        return Some(wait(what, None));
    }
    if !facts.is_listed {
        // An earlier upload, whose answer was lost, would be a second one that nobody sees.
        let what = "Cloudflare's list to show the new certificate, and with it every upload of it";
        return Some(wait(what, None));
    }
    Some(RollNext::Reached(RollStep::Settled))
}

fn deleted(record: &RollRecord, facts: &RollFacts) -> Option<RollNext> {
    for old in record.before.certificates.iter().filter(|it| it.replaced) {
        match facts.certificate(&old.id).map(|it| &it.status) {
            None | Some(DeploymentStatus::Deleted | DeploymentStatus::DeletionTimedOut) => {}
            Some(DeploymentStatus::PendingDeletion) => {
                return Some(wait("the edges to drop the old certificate", None));
            }
            Some(
                DeploymentStatus::Initializing
                | DeploymentStatus::PendingDeployment
                | DeploymentStatus::Active
                | DeploymentStatus::DeploymentTimedOut
                | DeploymentStatus::Unknown(_),
            ) => {
                return Some(RollNext::Act(RollAction::DeleteOld(old.level, old.id.clone())));
            }
        }
    }
    reached(record, RollStep::Done)
}
