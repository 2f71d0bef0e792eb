//! The state of the refreshes: when the next one is due, and how the last ones ended.

use std::time::{Duration, Instant};

use aop_api::PrefixStatus;
use aop_config::ReloadableConfig;
use aop_prefixes::{CurrentList, ListOrigin};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use super::schedule;
use crate::file_stat::StableChange;

/// The refreshes of one daemon.
pub(crate) struct Refresher {
    state: Mutex<RefreshState>,
    /// Held by the refresh that is under way.
    running: Mutex<()>,
}

/// How refreshes of the configured source went, and what comes next.
#[derive(Default)]
pub(crate) struct RefreshState {
    /// Why the last refresh was refused.
    pub(crate) last_error: Option<String>,
    /// When a refresh was last refused.
    pub(crate) last_failure: Option<Timestamp>,
    /// Why the copy on disk cannot be read or written.
    pub(crate) copy_trouble: Option<String>,
    /// When the next refresh is due.
    pub(crate) next: Option<Instant>,
    /// Whether a list file has changed.
    pub(crate) file: StableChange,
    failures: u32,
}

impl Refresher {
    pub(crate) fn new(state: RefreshState) -> Self {
        Self { state: Mutex::new(state), running: Mutex::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, RefreshState> {
        self.state.lock()
    }

    /// Begins a refresh, unless one is under way.
    pub(crate) fn try_begin(&self) -> Option<MutexGuard<'_, ()>> {
        self.running.try_lock()
    }

    /// Waits for the refresh that is under way, and keeps others from beginning.
    pub(crate) fn exclude(&self) -> MutexGuard<'_, ()> {
        self.running.lock()
    }
}

impl RefreshState {
    /// The state after a start, or with a new list: the first refresh is due at once where the list
    /// is not current.
    pub(crate) fn new(
        live: &ReloadableConfig,
        list: &CurrentList,
        copy_trouble: Option<String>,
    ) -> Self {
        let mut state = Self { copy_trouble, ..Self::default() };
        state.plan_first(live, list);
        state
    }

    /// Plans the first refresh with this list.
    pub(crate) fn plan_first(&mut self, live: &ReloadableConfig, list: &CurrentList) {
        let age = match list.origin {
            ListOrigin::Fetched | ListOrigin::Stored => list.age(Timestamp::now()),
            ListOrigin::Snapshot | ListOrigin::File | ListOrigin::Inline | ListOrigin::None => None,
        };
        self.plan(refresh_interval(live).map(|refresh| schedule::first(refresh, age)));
    }

    pub(crate) fn succeeded(&mut self, live: &ReloadableConfig) {
        self.last_error = None;
        self.failures = 0;
        let refresh = refresh_interval(live);
        self.plan(refresh.map(|refresh| schedule::after_success(refresh, schedule::jitter())));
    }

    pub(crate) fn failed(&mut self, live: &ReloadableConfig, error: String) {
        self.last_error = Some(error);
        self.last_failure = Some(Timestamp::now());
        self.failures = self.failures.saturating_add(1);
        let (refresh, failures) = (refresh_interval(live), self.failures);
        self.plan(refresh.map(|it| schedule::after_failure(it, failures, schedule::jitter())));
    }

    fn plan(&mut self, wait: Option<Duration>) {
        self.next = wait.and_then(|wait| Instant::now().checked_add(wait));
    }

    /// Adds the refreshes to a status.
    pub(crate) fn add_to(&self, prefixes: &mut PrefixStatus) {
        let next = self.next.map(|next| next.saturating_duration_since(Instant::now()));
        prefixes.next_refresh_seconds = next.map(|next| next.as_secs());
        prefixes.last_error.clone_from(&self.last_error);
    }
}

/// How often the list is fetched; `None` where it is not.
pub(crate) fn refresh_interval(live: &ReloadableConfig) -> Option<Duration> {
    live.refresh.filter(|_| live.prefixes.url().is_some())
}
