//! Refreshes: fetches the prefix list when it is due, watches a list file, and applies lists that
//! pass validation. On any error the list in force stays.
//!
//! Everything here blocks, and runs on threads for which neither packets nor handshakes wait. The
//! turn is taken when there is a list to apply, never during a fetch.

mod schedule;
mod state;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aop_api::{Outcome, RefreshAction, RefreshResult, terminator::Command};
use aop_config::PrefixSource;
use aop_prefixes::{CurrentList, ListChange, ListOrigin, Proposal, RemovalLimit, validate};
use jiff::Timestamp;
pub(super) use state::{RefreshState, Refresher, refresh_interval};
use tokio_util::sync::CancellationToken;

use super::{
    Daemon, background,
    error::RefreshError,
    file_stat::{FileState, file_stat},
    reload::await_ack,
    terminator_handle::PendingAck,
    turn::Predecessors,
};

/// How often the clock and a watched file are checked.
const PERIOD: Duration = Duration::from_secs(2);

impl Daemon {
    /// Runs until `stop`; a fetch that is then under way is not waited for.
    pub(super) async fn refresh_when_due(self: Arc<Self>, stop: CancellationToken) {
        let job = move || self.refresh_if_due();
        background::run_every(&stop, PERIOD, job, |done| {
            if let Err(error) = done {
                tracing::error!("the prefix list was not refreshed: {error}");
            }
        })
        .await;
    }

    fn refresh_if_due(&self) {
        // A file that changes during an upgrade must count as unread.
        if self.lifecycle.may_change().is_err() {
            return;
        }
        let source = self.policy.read().live.prefixes.clone();
        let due = match &source {
            PrefixSource::File(path) => {
                let now = file_stat(path);
                let state = self.refresher.state().file.check(now);
                if state == FileState::Unchanged {
                    self.confirm_file(&source);
                }
                state == FileState::Changed
            }
            PrefixSource::Cloudflare(_) | PrefixSource::Url(_) => {
                self.refresher.state().next.is_some_and(|next| next <= Instant::now())
            }
            PrefixSource::Inline(_) => false,
        };
        if due {
            self.refresh(RefreshAction::Apply);
        }
    }

    /// The list file is as it was read: the list is current.
    fn confirm_file(&self, source: &PrefixSource) {
        if self.refresher.state().last_error.is_some() {
            return;
        }
        let Ok(turn) = self.turn() else { return };
        let mut next = turn.policy();
        if next.live.prefixes == *source {
            next.list.confirmed = Some(Timestamp::now());
            await_ack(turn.commit(next, Predecessors::Keep));
        }
    }

    /// Refreshes now.
    pub(super) fn refresh(&self, action: RefreshAction) -> RefreshResult {
        if let Err(error) = self.lifecycle.may_change() {
            return RefreshResult::refused(error.to_string());
        }
        let Some(_running) = self.refresher.try_begin() else {
            return RefreshResult::refused(RefreshError::Busy.to_string());
        };
        let (source, list) = {
            let policy = self.policy.read();
            (policy.live.prefixes.clone(), policy.list.clone())
        };
        match action {
            RefreshAction::Compare => self.compare(&source, &list),
            RefreshAction::Apply => self.fetch_and_apply(&source, &list, RemovalLimit::Enforced),
            RefreshAction::ApplyShrunk => {
                self.fetch_and_apply(&source, &list, RemovalLimit::Waived)
            }
        }
    }

    fn fetch_and_apply(
        &self,
        source: &PrefixSource,
        current: &CurrentList,
        limit: RemovalLimit,
    ) -> RefreshResult {
        let applied = aop_prefixes::read_source(source, &current.list, limit, &self.launcher)
            .map_err(RefreshError::from)
            .and_then(|proposal| self.apply_list(source, proposal));
        match applied {
            Ok(Applied { outcome, change, ack }) => {
                await_ack(ack);
                self.store_list(source);
                match outcome {
                    Outcome::Applied => {
                        let (added, removed) = (change.added.len(), change.removed.len());
                        tracing::info!(%source, added, removed, "a new prefix list is in force");
                    }
                    Outcome::Confirmed | Outcome::WouldApply | Outcome::Refused => {
                        tracing::debug!(%source, "the prefix list is confirmed");
                    }
                }
                RefreshResult::with(outcome, &change.added, &change.removed)
            }
            Err(error) => {
                let why = error.to_string();
                tracing::warn!("the prefix list was not refreshed: {why}");
                let policy = self.policy.read();
                if policy.live.prefixes == *source {
                    self.refresher.state().failed(&policy.live, why.clone());
                }
                RefreshResult::refused(why)
            }
        }
    }

    fn apply_list(
        &self,
        source: &PrefixSource,
        proposal: Proposal,
    ) -> Result<Applied, RefreshError> {
        let mut turn = self.turn()?;
        let mut next = turn.policy();
        if next.live.prefixes != *source {
            return Err(RefreshError::Overtaken);
        }
        let origin = match source {
            PrefixSource::Cloudflare(_) | PrefixSource::Url(_) => ListOrigin::Fetched,
            PrefixSource::File(_) => ListOrigin::File,
            PrefixSource::Inline(_) => ListOrigin::Inline,
        };
        let (outcome, change) = match proposal {
            Proposal::Confirmed { etag } => {
                next.list.list.etag = etag;
                next.list = CurrentList::now(next.list.list, origin);
                (Outcome::Confirmed, ListChange::default())
            }
            Proposal::Replaced { list, change } => {
                next.list = CurrentList::now(list, origin);
                turn.apply(&mut next, &[])?;
                turn.notify(Command::Admit(next.for_terminator()));
                (Outcome::Applied, change)
            }
        };
        self.refresher.state().succeeded(&next.live);
        Ok(Applied { outcome, change, ack: turn.commit(next, Predecessors::Keep) })
    }

    /// The result that a refresh would have. Shows the change even where the change would have to
    /// be accepted by the operator.
    fn compare(&self, source: &PrefixSource, current: &CurrentList) -> RefreshResult {
        let list = &current.list;
        match aop_prefixes::read_source(source, list, RemovalLimit::Waived, &self.launcher) {
            Err(error) => RefreshResult::refused(RefreshError::from(error).to_string()),
            Ok(Proposal::Confirmed { .. }) => RefreshResult::with(Outcome::Confirmed, &[], &[]),
            Ok(Proposal::Replaced { list, change }) => {
                let bounded = source.url().map(|_| {
                    validate::validate_change(&current.list, &list, RemovalLimit::Enforced)
                });
                let error = bounded.and_then(Result::err).map(|refusal| refusal.to_string());
                let outcome = if error.is_some() { Outcome::Refused } else { Outcome::WouldApply };
                RefreshResult {
                    error,
                    ..RefreshResult::with(outcome, &change.added, &change.removed)
                }
            }
        }
    }

    /// Stores a fetched list, so that the next start has it.
    fn store_list(&self, source: &PrefixSource) {
        let Some(url) = source.url() else { return };
        let list = {
            let policy = self.policy.read();
            if policy.live.prefixes != *source || self.lifecycle.may_change().is_err() {
                return;
            }
            policy.list.clone()
        };
        let stored = aop_prefixes::save(&self.settings.paths.state, url, &list);
        if let Err(error) = &stored {
            tracing::warn!("{error}");
        }
        self.refresher.state().copy_trouble = stored.err().map(|error| error.to_string());
    }
}

/// A list that was applied or confirmed.
struct Applied {
    outcome: Outcome,
    change: ListChange,
    ack: Option<PendingAck>,
}
