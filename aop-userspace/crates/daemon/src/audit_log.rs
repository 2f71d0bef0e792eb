//! The audit log: every change that a client requested, in the log and in `paths.state/audit.log`,
//! one JSON document a line. A change is made even where the file cannot be written; the status
//! then warns.

use std::path::{Path, PathBuf};

use aop_api::{AuditEntry, AuditOutcome, OrderedBy, Request};
use aop_control::Requester;
use jiff::Timestamp;
use nix::unistd::{Uid, User};
use parking_lot::Mutex;

const NAME: &str = "audit.log";
/// Greatest size of the file in bytes. Older lines are in `audit.log.1`; still older ones are
/// deleted.
const MOST: u64 = 1024 * 1024;

/// The audit log of one daemon.
pub(super) struct AuditLog {
    state: PathBuf,
    /// Why the last line could not be written.
    trouble: Mutex<Option<String>>,
}

impl AuditLog {
    pub(super) fn new(state: &Path) -> Self {
        Self { state: state.into(), trouble: Mutex::default() }
    }

    /// Records `request`. `refused` is why it was refused, where it was; `order` is the order that
    /// asked for it.
    pub(super) fn record(
        &self,
        requester: Requester,
        request: Request,
        refused: Option<String>,
        order: Option<OrderedBy>,
    ) {
        let Requester { uid, pid } = requester;
        let entry = AuditEntry {
            at: Timestamp::now(),
            uid,
            user: User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name),
            pid,
            order,
            request,
            outcome: match refused {
                None => AuditOutcome::Done,
                Some(_) => AuditOutcome::Refused,
            },
            error: refused,
        };
        log(&entry);
        let written = serde_json::to_string(&entry).map_err(Into::into).and_then(|line| {
            aop_storage::append(&self.state, NAME, format!("{line}\n").as_bytes(), MOST)
        });
        let trouble = written.err().map(|error| {
            let path = self.state.join(NAME);
            format!(
                "{}: cannot write the audit log: {error}. The change was made; the journal shows \
                 who requested it. Correct paths.state, its permissions or its disk",
                path.display()
            )
        });
        trouble.iter().for_each(|trouble| tracing::warn!("{trouble}"));
        *self.trouble.lock() = trouble;
    }

    /// Why the file cannot be written, where it cannot.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }
}

fn log(entry: &AuditEntry) {
    let AuditEntry { at: _, uid, user, pid, order, request, outcome, error } = entry;
    let (order, operator) = order.as_ref().map(|it| (it.serial, it.operator.as_str())).unzip();
    let request = serde_json::to_string(request).unwrap_or_default();
    let (user, error) = (user.as_deref(), error.as_deref());
    match outcome {
        AuditOutcome::Done => {
            tracing::info!(target: "audit", uid, user, pid, order, operator, request, "audit: done");
        }
        AuditOutcome::Refused => {
            tracing::info!(target: "audit", uid, user, pid, order, operator, request, error, "audit: refused");
        }
    }
}
