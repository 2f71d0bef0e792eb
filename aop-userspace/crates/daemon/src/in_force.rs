//! What packets and pulls are judged by now: the configuration that may change, the list, and how
//! keeping that list fresh goes.
//!
//! Whoever applies anything of it takes the turn to apply first, so a reload and a refresh never mix;
//! the lock on it is held for moments alone, so that a status never waits for a long list.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Instant,
};

use aop_api::Prefixes;
use aop_config::{Live, OnRefusal};
use aop_prefixes::{Found, Held, Origin};
use aop_types::Admission;
use jiff::Timestamp;

use super::{Daemon, looks::Watch, schedule, word::Spoken};

pub struct InForce {
    pub(super) live: Live,
    /// What `aop mode` said beside it.
    pub(super) spoken: Spoken,
    pub(super) held: Held,
    /// Who is admitted by that list and the configuration, and who drains.
    pub(super) admission: Admission,
    pub(super) course: Course,
    /// Set when the daemon ends: a fetch that is still under way then applies nothing.
    pub(super) closed: bool,
}

/// How keeping the list fresh goes.
#[derive(Default)]
pub(super) struct Course {
    /// Why the last refresh was refused.
    pub(super) last_error: Option<String>,
    /// When a refresh was last refused.
    pub(super) last_failure: Option<Timestamp>,
    /// What is wrong with the copy on disk.
    pub(super) trouble: Option<String>,
    /// When the source is asked again.
    pub(super) next: Option<Instant>,
    pub(super) watch: Watch,
    failures: u32,
}

impl Daemon {
    /// Nothing is applied from now on. Waits for what is being applied, never for a fetch: the next
    /// daemon may start while one hangs.
    pub(super) fn close(&self) {
        let _turn = self.applying();
        self.in_force().closed = true;
    }

    /// The turn to change what is in force.
    pub(super) fn applying(&self) -> MutexGuard<'_, ()> {
        // It guards no data: what is in force changes after all that can fail.
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is served from anything else that could be.
    pub(super) fn digest(&self) -> String {
        let observing = self.in_force().observing();
        self.reloads.source().digest(&observing)
    }

    pub(super) fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InForce {
    /// The sites that observe, in the configuration's order.
    pub(super) fn observing(&self) -> Vec<String> {
        let sites = self.spoken.sites(&self.live).into_iter();
        sites.filter(|it| it.on_refusal == OnRefusal::Observe).map(|it| it.name).collect()
    }

    pub(super) fn new(live: Live, spoken: Spoken, found: Found, admission: Admission) -> Self {
        let Found { held, trouble } = found;
        let trouble = trouble.map(|trouble| trouble.to_string());
        let course = Course { trouble, ..Course::default() };
        let mut begun = Self { live, spoken, held, admission, course, closed: false };
        begun.plan_first();
        begun
    }

    /// The list that stays when `live` becomes the configuration: one that was fetched from the
    /// same source, since what a reload finds on disk is never newer.
    pub(super) fn list_for(&self, live: &Live) -> Option<&Held> {
        let stays = live.prefixes == self.live.prefixes && live.prefixes.url().is_some();
        stays.then_some(&self.held)
    }

    /// Takes up a reloaded configuration, with the operator's word under it, the list that was found
    /// for it or the one that stays, and who is admitted by them.
    pub(super) fn reload(
        &mut self,
        live: Live,
        spoken: Spoken,
        found: Found,
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

    /// A list that is not current is asked for at once.
    fn plan_first(&mut self) {
        let age = match self.held.origin {
            Origin::Fetched | Origin::Stored => self.held.age(Timestamp::now()),
            Origin::Snapshot | Origin::File | Origin::Inline | Origin::Nowhere => None,
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

    /// Writes what is known of the list into a status.
    pub(super) fn tell(&self, prefixes: &mut Prefixes) {
        let next = self.course.next.map(|next| next.saturating_duration_since(Instant::now()));
        prefixes.source = Some(self.live.prefixes.to_string());
        prefixes.origin = Some(self.held.origin.to_string());
        prefixes.etag.clone_from(&self.held.list.etag);
        prefixes.age_seconds = self.held.age(Timestamp::now());
        prefixes.next_refresh_seconds = next.map(|next| next.as_secs());
        prefixes.last_error.clone_from(&self.course.last_error);
    }

    /// What an operator should know of the list now.
    pub(super) fn warnings(&self) -> Vec<String> {
        let troubles = self.course.trouble.iter().chain(&self.spoken.trouble);
        let mut warnings: Vec<String> = troubles.cloned().collect();
        let source = &self.live.prefixes;
        if self.held.origin == Origin::Nowhere {
            warnings.push(format!(
                "the prefix list has never been fetched from {source}: only firewall.extra is \
                 admitted, and what an earlier run has left"
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

    /// How many hours ago the list was confirmed, where that is too long.
    pub(super) fn stale_hours(&self) -> Option<u64> {
        let stale = self.live.stale_after()?;
        let age = self.held.age(Timestamp::now())?;
        (age > stale.as_secs()).then_some(age / 3600)
    }
}
