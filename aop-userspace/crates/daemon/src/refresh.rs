//! Refreshes: fetches the prefix list when it is due, watches a list file, and applies lists that
//! pass validation. On any error the list in force stays.
//!
//! Everything here blocks, and runs on threads for which neither packets nor handshakes wait. The
//! turn is taken when there is a list to apply, never during a fetch.

use std::{
    sync::{Arc, TryLockError},
    time::{Duration, Instant},
};

use aop_api::{
    Outcome, RefreshAction, RefreshResult,
    terminator::{AddressPolicy, Command},
};
use aop_config::PrefixSource;
use aop_prefixes::{CurrentList, ListChange, ListOrigin, Proposal, RemovalLimit, validate};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    error::RefreshError,
    file_stat::{self, Seen},
    opening_commands::beside,
    reload::hear,
    terminator_handle::PendingAck,
};

pub(super) mod schedule;

/// How often the clock and a watched file are checked.
const LOOK: Duration = Duration::from_secs(2);

impl Daemon {
    /// Runs until `stop`; a fetch that is then under way is not waited for.
    pub(super) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let daemon = Arc::clone(&self);
            let look = tokio::task::spawn_blocking(move || daemon.look());
            tokio::select! {
                () = stop.cancelled() => return,
                looked = look => if let Err(error) = looked {
                    tracing::error!("the prefix list was not refreshed: {error}");
                },
            }
        }
    }

    fn look(&self) {
        // A file that changes during an upgrade must count as unread.
        if self.handover.may_change().is_err() {
            return;
        }
        let source = self.in_force().live.prefixes.clone();
        let due = match &source {
            PrefixSource::File(path) => {
                let now = file_stat::look(path);
                let mut in_force = self.in_force();
                match in_force.course.watch.judge(now) {
                    Seen::Changed => true,
                    Seen::AsRead if in_force.course.last_error.is_none() => {
                        in_force.held.confirmed = Some(jiff::Timestamp::now());
                        false
                    }
                    Seen::AsRead | Seen::Restless => false,
                }
            }
            PrefixSource::Cloudflare(_) | PrefixSource::Url(_) => {
                self.in_force().course.next.is_some_and(|next| next <= Instant::now())
            }
            PrefixSource::Inline(_) => false,
        };
        if due {
            self.refresh(RefreshAction::Apply);
        }
    }

    /// Refreshes now.
    pub(super) fn refresh(&self, then: RefreshAction) -> RefreshResult {
        if let Err(error) = self.handover.may_change() {
            return RefreshResult::refused(RefreshError::from(error).to_string());
        }
        let _turn = match self.refreshing.try_lock() {
            Ok(turn) => turn,
            // The mutex guards no data: a refresh that panicked left nothing half done.
            Err(TryLockError::Poisoned(left)) => left.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return RefreshResult::refused(RefreshError::Busy.to_string());
            }
        };
        let (source, held) = {
            let in_force = self.in_force();
            (in_force.live.prefixes.clone(), in_force.held.clone())
        };
        match then {
            RefreshAction::Compare => self.compare(&source, &held),
            RefreshAction::Apply => self.take_up(&source, &held, RemovalLimit::Bounded),
            RefreshAction::ApplyShrunk => self.take_up(&source, &held, RemovalLimit::Accepted),
        }
    }

    fn take_up(
        &self,
        source: &PrefixSource,
        held: &CurrentList,
        shrink: RemovalLimit,
    ) -> RefreshResult {
        let taken = aop_prefixes::read_source(source, &held.list, shrink, &self.launcher)
            .map_err(RefreshError::from)
            .and_then(|proposal| self.apply(source, proposal));
        match taken {
            Ok((outcome, change, receipt)) => {
                hear(receipt);
                self.keep_on_disk(source);
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
                let mut in_force = self.in_force();
                if in_force.live.prefixes == *source {
                    in_force.failed(why.clone());
                }
                RefreshResult::refused(why)
            }
        }
    }

    fn apply(
        &self,
        source: &PrefixSource,
        proposal: Proposal,
    ) -> Result<(Outcome, ListChange, Option<PendingAck>), RefreshError> {
        let _turn = self.applying();
        self.handover.may_change()?;
        let (live, modes, before) = {
            let in_force = self.in_force();
            if in_force.live.prefixes != *source || in_force.closed {
                return Err(RefreshError::Overtaken);
            }
            (in_force.live.clone(), in_force.modes(), in_force.admission.clone())
        };
        let origin = match source {
            PrefixSource::Cloudflare(_) | PrefixSource::Url(_) => ListOrigin::Fetched,
            PrefixSource::File(_) => ListOrigin::File,
            PrefixSource::Inline(_) => ListOrigin::Inline,
        };
        let done = match proposal {
            Proposal::Confirmed { etag } => {
                let mut in_force = self.in_force();
                let mut list = in_force.held.list.clone();
                list.etag = etag;
                in_force.held = CurrentList::now(list, origin);
                (Outcome::Confirmed, ListChange::default(), None)
            }
            Proposal::Replaced { list, change } => {
                let held = CurrentList::now(list, origin);
                let prefixes = held.list.with(&beside(&live, &self.openings()))?;
                let admission = self.admit(&before, &[], &held, &prefixes, &live, &modes)?;
                let receipt = self.tell(Command::Admit(AddressPolicy::of(&admission, &modes)));
                let mut in_force = self.in_force();
                (in_force.held, in_force.admission) = (held, admission);
                (Outcome::Applied, change, receipt)
            }
        };
        self.in_force().succeeded();
        Ok(done)
    }

    /// The result that a refresh would have. Shows the change even where the change would have to
    /// be accepted by the operator.
    fn compare(&self, source: &PrefixSource, held: &CurrentList) -> RefreshResult {
        match aop_prefixes::read_source(source, &held.list, RemovalLimit::Accepted, &self.launcher)
        {
            Err(error) => RefreshResult::refused(RefreshError::from(error).to_string()),
            Ok(Proposal::Confirmed { .. }) => RefreshResult::with(Outcome::Confirmed, &[], &[]),
            Ok(Proposal::Replaced { list, change }) => {
                let bounded =
                    source.url().map(|_| validate::step(&held.list, &list, RemovalLimit::Bounded));
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
    fn keep_on_disk(&self, source: &PrefixSource) {
        let Some(url) = source.url() else { return };
        let held = {
            let in_force = self.in_force();
            if in_force.live.prefixes != *source || in_force.closed {
                return;
            }
            in_force.held.clone()
        };
        let kept = aop_prefixes::save(&self.fixed.paths.state, url, &held);
        if let Err(error) = &kept {
            tracing::warn!("{error}");
        }
        self.in_force().course.trouble = kept.err().map(|error| error.to_string());
    }
}
