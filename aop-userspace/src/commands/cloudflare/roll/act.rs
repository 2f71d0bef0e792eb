//! Carries out one change. The record is written before a change whose repetition would double
//! something, and after each.

use std::fs;

use anyhow::Context;
use aop_api::DeploymentStatus;
use aop_cloudflare::{
    Announced, CertificateAndKey, RollAction, RollFacts, RollNext, RollRecord, RollStep,
};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::turns::{Current, Roller};

impl Roller {
    /// Carries out `action`. `Some`: it cannot be done, and why.
    pub(super) fn act(
        &mut self,
        record: &mut RollRecord,
        current: &Current,
        facts: &RollFacts,
        action: RollAction,
    ) -> anyhow::Result<Option<RollNext>> {
        match &action {
            RollAction::MakeLeaf => return self.make_leaf(record, current),
            RollAction::Trust(sites) => {
                let stopped = self.trust(record, current, sites)?;
                if stopped.is_none() {
                    self.reach(record, RollStep::Trusted, current, facts)?;
                }
                return Ok(stopped);
            }
            RollAction::Upload => {
                let pair = self.pair(record)?;
                let call = action.call(record, Some(pair)).context("nothing to upload")?;
                let announced = Announced { at: Timestamp::now(), answered: false };
                let before = record.announced.replace(announced);
                record.store(&self.paths.state)?;
                let uploaded = self.client.carry_out(call).inspect_err(|error| {
                    // The caller writes the record with its error.
                    if error.changed_nothing() {
                        record.announced = before;
                    }
                })?;
                record.uploaded = uploaded.map(|it| it.id);
                if let Some(announced) = &mut record.announced {
                    announced.answered = true;
                }
            }
            RollAction::Drop(id) => {
                let of_id = facts.certificates.iter().find(|(_, it)| it.id == *id);
                let timed_out =
                    of_id.is_some_and(|(_, it)| it.status == DeploymentStatus::DeploymentTimedOut);
                // Without this an upload that is gone would look as if somebody else had deleted
                // it.
                if !record.dropped.contains(id) {
                    record.dropped.push(id.clone());
                }
                if record.uploaded.as_ref() == Some(id) {
                    record.uploaded = None;
                    // The list may still be without an upload only where an answer was lost.
                    record.announced = record.announced.filter(|_| record.undo.is_some());
                    record.timed_out += u32::from(timed_out);
                }
                record.store(&self.paths.state)?;
                self.call(record, &action)?;
            }
            RollAction::SwitchGlobal(_)
            | RollAction::SwitchZone(_)
            | RollAction::Associate(_)
            | RollAction::DeleteOld(..) => self.call(record, &action)?,
        }
        record.store(&self.paths.state)?;
        Ok(None)
    }

    fn call(&mut self, record: &RollRecord, action: &RollAction) -> anyhow::Result<()> {
        let call = action.call(record, None).context("this action has no call")?;
        self.client.carry_out(call)?;
        Ok(())
    }

    /// The leaf and its key, from the files beside the record.
    fn pair(&self, record: &RollRecord) -> anyhow::Result<CertificateAndKey> {
        let file = |extension| RollRecord::file(&self.paths.state, &record.site, extension);
        let read = |extension| {
            let file = file(extension);
            fs::read_to_string(&file).with_context(|| {
                format!(
                    "{} cannot be read, and Cloudflare does not have this certificate: take the \
                     roll back with `--undo`, and begin a new one",
                    file.display()
                )
            })
        };
        Ok(CertificateAndKey {
            certificate: read("pem")?,
            private_key: Zeroizing::new(read("key")?).into(),
        })
    }
}
