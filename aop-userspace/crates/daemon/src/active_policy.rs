//! The policy in force: the part of the configuration that a reload may change, the mode overrides,
//! the prefix list, and the state of its refreshes.
//!
//! Every change takes the turn first, so that a reload and a refresh never mix. The lock on the
//! policy itself is held briefly, so that a status never waits while a long list is applied.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Instant,
};

use aop_api::PrefixStatus;
use aop_config::{OnRefusal, ReloadableConfig};
use aop_prefixes::{CurrentList, ListOrigin, StartList};
use aop_types::Admission;
use jiff::Timestamp;

use super::{Daemon, file_stat::Watch, mode_overrides::OverrideState, refresh::schedule};

pub struct ActivePolicy {
    pub(super) live: ReloadableConfig,
    /// The mode overrides.
    pub(super) spoken: OverrideState,
    pub(super) held: CurrentList,
    /// The prefixes that the list and the configuration admit, and the draining ones.
    pub(super) admission: Admission,
    pub(super) course: Course,
    /// Set when the daemon stops: a fetch that is still under way then applies nothing.
    pub(super) closed: bool,
}

/// State of the refreshes.
#[derive(Default)]
pub(super) struct Course {
    /// Why the last refresh was refused.
    pub(super) last_error: Option<String>,
    /// When a refresh was last refused.
    pub(super) last_failure: Option<Timestamp>,
    /// Why the copy on disk cannot be read or written.
    pub(super) trouble: Option<String>,
    /// When the next refresh is due.
    pub(super) next: Option<Instant>,
    pub(super) watch: Watch,
    failures: u32,
}

impl Daemon {
    /// Forbids all further changes. Waits for a change that is being applied, never for a fetch:
    /// the next daemon may start while a fetch hangs.
    pub(super) fn close(&self) {
        let _turn = self.applying();
        self.in_force().closed = true;
    }

    /// The turn: the right to change what is in force.
    pub(super) fn applying(&self) -> MutexGuard<'_, ()> {
        // The mutex guards no data: the policy is changed after everything that can fail.
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A digest of everything that determines how sites are served.
    pub(super) fn digest(&self) -> String {
        let observing = self.in_force().observing();
        self.reloads.source().digest(&observing)
    }

    pub(super) fn in_force(&self) -> MutexGuard<'_, ActivePolicy> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActivePolicy {
    /// The sites that observe, in the order of the configuration.
    pub(super) fn observing(&self) -> Vec<String> {
        let sites = self.spoken.sites(&self.live).into_iter();
        sites.filter(|it| it.on_refusal == OnRefusal::Observe).map(|it| it.name).collect()
    }

    pub(super) fn new(
        live: ReloadableConfig,
        spoken: OverrideState,
        found: StartList,
        admission: Admission,
    ) -> Self {
        let StartList { held, trouble } = found;
        let trouble = trouble.map(|trouble| trouble.to_string());
        let course = Course { trouble, ..Course::default() };
        let mut begun = Self { live, spoken, held, admission, course, closed: false };
        begun.plan_first();
        begun
    }

    /// The list that stays in force when `live` becomes the configuration. A list that was fetched
    /// from the same source stays, since the copy on disk is never newer.
    pub(super) fn list_for(&self, live: &ReloadableConfig) -> Option<&CurrentList> {
        let stays = live.prefixes == self.live.prefixes && live.prefixes.url().is_some();
        stays.then_some(&self.held)
    }

    /// Puts a reloaded configuration in force, with its overrides, its list (or the one that
    /// stays), and the prefixes that these admit.
    pub(super) fn reload(
        &mut self,
        live: ReloadableConfig,
        spoken: OverrideState,
        found: StartList,
        admission: Admission,
    ) {
        if self.list_for(&live).is_none() {
            *self = Self::new(live, spoken, found, admission);
            return;
        }
        (self.spoken, self.admission) = (spoken, admission);
        let earlier = std::mem::replace(&mut self.live, live).refresh;
        if self.live.refresh != earlier {
            self.plan_first();
        }
    }

    /// Plans the first refresh: at once where the list is not current.
    fn plan_first(&mut self) {
        let age = match self.held.origin {
            ListOrigin::Fetched | ListOrigin::Stored => self.held.age(Timestamp::now()),
            ListOrigin::Snapshot | ListOrigin::File | ListOrigin::Inline | ListOrigin::Nowhere => {
                None
            }
        };
        self.plan(|refresh| schedule::first(refresh, age));
    }

    pub(super) fn succeeded(&mut self) {
        self.course.last_error = None;
        self.course.failures = 0;
        self.plan(|refresh| schedule::after_success(refresh, schedule::jitter()));
    }

    pub(super) fn failed(&mut self, error: String) {
        self.course.last_error = Some(error);
        self.course.last_failure = Some(Timestamp::now());
        self.course.failures = self.course.failures.saturating_add(1);
        let failures = self.course.failures;
        self.plan(|refresh| schedule::after_failure(refresh, failures, schedule::jitter()));
    }

    fn plan(&mut self, wait: impl FnOnce(std::time::Duration) -> std::time::Duration) {
        let fetched = self.live.prefixes.url().is_some();
        let refresh = self.live.refresh.filter(|_| fetched);
        self.course.next = refresh.and_then(|refresh| Instant::now().checked_add(wait(refresh)));
    }

    /// Adds the state of the list to a status.
    pub(super) fn tell(&self, prefixes: &mut PrefixStatus) {
        let next = self.course.next.map(|next| next.saturating_duration_since(Instant::now()));
        prefixes.source = Some(self.live.prefixes.to_string());
        prefixes.origin = Some(self.held.origin.to_string());
        prefixes.etag.clone_from(&self.held.list.etag);
        prefixes.age_seconds = self.held.age(Timestamp::now());
        prefixes.next_refresh_seconds = next.map(|next| next.as_secs());
        prefixes.last_error.clone_from(&self.course.last_error);
    }

    /// Warnings about the list and the overrides.
    pub(super) fn warnings(&self) -> Vec<String> {
        let troubles = self.course.trouble.iter().chain(&self.spoken.trouble);
        let mut warnings: Vec<String> = troubles.cloned().collect();
        let source = &self.live.prefixes;
        if self.held.origin == ListOrigin::Nowhere {
            warnings.push(format!(
                "the prefix list has never been fetched from {source}: only firewall.extra is \
                 admitted, and what an earlier run left in the maps"
            ));
        }
        if let Some(hours) = self.stale_hours() {
            warnings.push(format!(
                "the prefix list is old: {source} last confirmed it {hours} h ago. Edges in newer \
                 prefixes are dropped; see `aop prefixes refresh`"
            ));
        }
        warnings
    }

    /// Hours since the list was last confirmed, where that is longer than `stale_after`.
    pub(super) fn stale_hours(&self) -> Option<u64> {
        let stale = self.live.stale_after()?;
        let age = self.held.age(Timestamp::now())?;
        (age > stale.as_secs()).then_some(age / 3600)
    }
}
