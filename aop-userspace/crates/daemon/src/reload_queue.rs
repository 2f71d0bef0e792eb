//! One reload at a time, on a thread for which signals do not wait; the result of the last one is
//! kept.
//!
//! All requests that arrive during a reload share the next one, so that a burst of signals causes
//! two reloads at most.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aop_api::{ReloadOutcome, ReloadResult, ReloadedBy};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Daemon, DaemonError, background, service_manager};

/// How many changed files a result names.
const NAMED: usize = 100;

/// The reloads of one daemon.
pub(super) struct ReloadQueue {
    /// Path of the configuration.
    file: PathBuf,
    signalled: Notify,
    /// How many reloads have begun.
    begun: AtomicU64,
    /// The turn to reload. Holds the number and result of the last reload.
    turn: Mutex<Option<(u64, ReloadResult)>>,
    last: Mutex<Option<ReloadResult>>,
}

/// The result of a successful reload.
pub(super) struct LoadedSummary {
    pub(super) sites: usize,
    pub(super) files: usize,
    pub(super) warnings: Vec<String>,
}

impl ReloadQueue {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.into(),
            signalled: Notify::new(),
            begun: AtomicU64::new(0),
            turn: Mutex::default(),
            last: Mutex::default(),
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Requests a reload. Never blocks.
    pub(super) fn signal(&self) {
        self.signalled.notify_one();
    }

    /// The turn to reload. While it is held, nothing else is loaded.
    pub(super) fn turn(&self) -> MutexGuard<'_, Option<(u64, ReloadResult)>> {
        self.turn.lock()
    }

    /// The result of the last reload.
    pub(super) fn last(&self) -> Option<ReloadResult> {
        self.last.lock().clone()
    }

    /// Stores and returns the result of a reload. `changed` are the files that caused it.
    pub(super) fn record(
        &self,
        by: ReloadedBy,
        changed: &[&Path],
        result: Result<LoadedSummary, DaemonError>,
    ) -> ReloadResult {
        let (at, file) = (Timestamp::now(), self.file.display().to_string());
        let changed = changed.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        let reloaded = match result {
            Ok(LoadedSummary { sites, files, warnings }) => {
                let outcome = ReloadOutcome::Applied;
                ReloadResult { at, by, outcome, file, changed, sites, files, warnings, error: None }
            }
            Err(error) => ReloadResult {
                at,
                by,
                outcome: ReloadOutcome::Refused,
                file,
                changed,
                sites: 0,
                files: 0,
                warnings: Vec::new(),
                error: Some(error.to_string()),
            },
        };
        self.replace_last(reloaded.clone());
        reloaded
    }

    /// Stores the result of a reload.
    pub(super) fn replace_last(&self, reloaded: ReloadResult) {
        *self.last.lock() = Some(reloaded);
    }

    /// All watched files are again as they are in force, so a reload that was refused because of a
    /// changed file needs no correction any more.
    pub(super) fn changed_back(&self) -> Option<ReloadOutcome> {
        let mut last = self.last.lock();
        let last = last.as_mut().filter(|last| {
            let watched = [ReloadedBy::Files, ReloadedBy::Configuration].contains(&last.by);
            watched && last.outcome == ReloadOutcome::Refused
        })?;
        tracing::info!("the files that could not be used have changed back to what is in force");
        (last.at, last.outcome, last.error) = (Timestamp::now(), ReloadOutcome::ChangedBack, None);
        Some(last.outcome)
    }
}

impl Daemon {
    /// Reloads on each signal, until `stop`; a reload that hangs then is not waited for.
    pub(super) async fn reload_on_signals(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.reloads.signalled.notified() => {}
            }
            let daemon = Arc::clone(&self);
            // On a blocking thread: it reads files, and waits for the terminator.
            match background::run(&stop, move || daemon.reload(ReloadedBy::Signal)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => tracing::error!("the reload was not finished: {error}"),
                None => return,
            }
        }
    }

    /// Reloads the configuration. On any error the old one stays in force.
    pub(super) fn reload(&self, by: ReloadedBy) -> ReloadResult {
        let ReloadQueue { file, begun, .. } = &self.reloads;
        let requested = begun.load(Relaxed);
        let mut previous = self.reloads.turn();
        if let Some((number, shared)) = previous.as_ref()
            && *number > requested
        {
            return shared.clone();
        }
        let number = begun.fetch_add(1, Relaxed) + 1;
        service_manager::reloading();
        let result = self.try_reload(file);
        match &result {
            Ok(_) => {
                tracing::info!(file = %file.display(), "reloaded");
                service_manager::ready("serving");
            }
            Err(error) => {
                tracing::error!("not reloaded, the old configuration stays in force: {error}");
                service_manager::ready(&format!("serving with the old configuration: {error}"));
            }
        }
        let reloaded = self.reloads.record(by, &[], result);
        *previous = Some((number, reloaded.clone()));
        reloaded
    }
}
