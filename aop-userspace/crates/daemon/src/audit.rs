//! What operators had changed over the control socket: told in the log, and kept in
//! `paths.state/audit.log`, a JSON document a line. What cannot be kept is done all the same, and told.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use aop_api::{Audited, AuditedOutcome, Request};
use aop_control::Asker;
use jiff::Timestamp;
use nix::unistd::{Uid, User};

const NAME: &str = "audit.log";
/// Bytes of the file; what is older is in `audit.log.1`, and what is older than that is gone.
const MOST: u64 = 1024 * 1024;

/// The record of one daemon.
pub(super) struct Audit {
    state: PathBuf,
    /// Why the last line was not kept.
    trouble: Mutex<Option<String>>,
}

impl Audit {
    pub(super) fn new(state: &Path) -> Self {
        Self { state: state.into(), trouble: Mutex::default() }
    }

    /// Records what came of `request`: nothing, or why it was refused.
    pub(super) fn record(&self, asker: Asker, request: Request, refused: Option<String>) {
        let Asker { uid, pid } = asker;
        let audited = Audited {
            at: Timestamp::now(),
            uid,
            user: User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name),
            pid,
            request,
            outcome: match refused {
                None => AuditedOutcome::Done,
                Some(_) => AuditedOutcome::Refused,
            },
            error: refused,
        };
        tell(&audited);
        let kept = serde_json::to_string(&audited).map_err(Into::into).and_then(|line| {
            aop_storage::append(&self.state, NAME, format!("{line}\n").as_bytes(), MOST)
        });
        let trouble = kept.err().map(|error| {
            let path = self.state.join(NAME);
            format!(
                "{}: cannot keep who had what changed: {error}; it was done, and the log has it. \
                 Correct paths.state, its permissions or its disk",
                path.display()
            )
        });
        trouble.iter().for_each(|trouble| tracing::warn!("{trouble}"));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What is wrong with the file.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn tell(audited: &Audited) {
    let Audited { at: _, uid, user, pid, request, outcome, error } = audited;
    let request = serde_json::to_string(request).unwrap_or_default();
    let (user, error) = (user.as_deref(), error.as_deref());
    match outcome {
        AuditedOutcome::Done => {
            tracing::info!(target: "audit", uid, user, pid, request, "audit: done");
        }
        AuditedOutcome::Refused => {
            tracing::info!(target: "audit", uid, user, pid, request, error, "audit: refused");
        }
    }
}
