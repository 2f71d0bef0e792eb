//! One reload at a time, on a thread for which signals do not wait; the result of the last one is
//! kept.
//!
//! All requests that arrive during a reload share the next one, so that a burst of signals causes
//! two reloads at most.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use aop_api::{ReloadOutcome, ReloadResult, ReloadedBy};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Daemon, DaemonError, config_digest::Source, service_manager};

/// How many changed files a result names.
const NAMED: usize = 100;

/// The reloads of one daemon.
pub(super) struct Reloads {
    /// Path of the configuration.
    file: PathBuf,
    /// Digests of what the configuration in force was read from.
    source: Mutex<Arc<Source>>,
    signalled: Notify,
    /// How many reloads have begun.
    begun: AtomicU64,
    /// The turn to reload. Holds the number and result of the last reload.
    turn: Mutex<Option<(u64, ReloadResult)>>,
    last: Mutex<Option<ReloadResult>>,
    /// Set when the daemon stops: after that nothing is loaded.
    leaving: AtomicBool,
}

/// What a successful reload has loaded.
pub(super) struct Loading {
    pub(super) sites: usize,
    pub(super) files: usize,
    pub(super) warnings: Vec<String>,
}

impl Reloads {
    pub(super) fn new(file: &Path, source: Source) -> Self {
        Self {
            file: file.into(),
            source: Mutex::new(Arc::new(source)),
            signalled: Notify::new(),
            begun: AtomicU64::new(0),
            turn: Mutex::default(),
            last: Mutex::default(),
            leaving: AtomicBool::new(false),
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Requests a reload. Never blocks.
    pub(super) fn signal(&self) {
        self.signalled.notify_one();
    }

    /// Forbids further reloads; one that is still reading is dropped.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// # Errors
    /// The daemon is stopping.
    pub(super) fn still_wanted(&self) -> Result<(), DaemonError> {
        match self.leaving.load(Relaxed) {
            true => Err(DaemonError::Stopping),
            false => Ok(()),
        }
    }

    /// Digests of what the configuration in force was read from.
    pub(super) fn source(&self) -> Arc<Source> {
        held(&self.source).clone()
    }

    /// Replaces them.
    pub(super) fn read_from(&self, source: Source) {
        *held(&self.source) = Arc::new(source);
    }

    /// The turn to reload. While it is held, nothing else is loaded.
    pub(super) fn turn(&self) -> MutexGuard<'_, Option<(u64, ReloadResult)>> {
        held(&self.turn)
    }

    /// The result of the last reload.
    pub(super) fn last(&self) -> Option<ReloadResult> {
        held(&self.last).clone()
    }

    /// Stores and returns the result of a reload. `changed` are the files that caused it.
    pub(super) fn keep(
        &self,
        by: ReloadedBy,
        changed: &[&Path],
        came: Result<Loading, DaemonError>,
    ) -> ReloadResult {
        let (at, file) = (Timestamp::now(), self.file.display().to_string());
        let changed = changed.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        let reloaded = match came {
            Ok(Loading { sites, files, warnings }) => {
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
        self.remember(reloaded.clone());
        reloaded
    }

    /// Stores the result of a reload.
    pub(super) fn remember(&self, reloaded: ReloadResult) {
        *held(&self.last) = Some(reloaded);
    }

    /// All watched files are again as they are in force, so a reload that was refused because of a
    /// changed file needs no correction any more.
    pub(super) fn changed_back(&self) -> Option<ReloadOutcome> {
        let mut last = held(&self.last);
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
    pub(super) async fn heed_signals(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.reloads.signalled.notified() => {}
            }
            let daemon = Arc::clone(&self);
            // On a blocking thread: it reads files, and waits for the terminator.
            let reload = tokio::task::spawn_blocking(move || daemon.reload(ReloadedBy::Signal));
            tokio::select! {
                () = stop.cancelled() => return,
                reloaded = reload => if let Err(error) = reloaded {
                    tracing::error!("the reload was not finished: {error}");
                },
            }
        }
    }

    /// Reloads the configuration. On any error the old one stays in force.
    pub(super) fn reload(&self, by: ReloadedBy) -> ReloadResult {
        let Reloads { file, begun, .. } = &self.reloads;
        let asked = begun.load(Relaxed);
        let mut over = self.reloads.turn();
        if let Some((number, shared)) = over.as_ref()
            && *number > asked
        {
            return shared.clone();
        }
        let number = begun.fetch_add(1, Relaxed) + 1;
        service_manager::reloading();
        let came = self.try_reload(file);
        match &came {
            Ok(_) => {
                tracing::info!(file = %file.display(), "reloaded");
                service_manager::ready("serving");
            }
            Err(error) => {
                tracing::error!("not reloaded, the old configuration stays in force: {error}");
                service_manager::ready(&format!("serving with the old configuration: {error}"));
            }
        }
        let reloaded = self.reloads.keep(by, &[], came);
        *over = Some((number, reloaded.clone()));
        reloaded
    }
}

/// None of these mutexes guards data that a panic could leave half changed.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
