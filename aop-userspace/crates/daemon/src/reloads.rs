//! Reloads take turns, away from what signals wait for, and what came of the last one is kept.
//!
//! Whoever asks while one is under way gets the next one, and shares it with everybody else who asks
//! meanwhile: a storm of signals is one reload and one more.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use aop_api::{ReloadOutcome, Reloaded, ReloadedBy};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Daemon, DaemonError, manager, source::Source};

/// Files that the document names.
const NAMED: usize = 100;

/// The reloads of one daemon.
pub(super) struct Reloads {
    /// The configuration.
    file: PathBuf,
    /// What is in force was read from this.
    source: Mutex<Arc<Source>>,
    signalled: Notify,
    /// How many have begun.
    begun: AtomicU64,
    /// Held by the one that is under way: the number of the one before, and what came of it.
    turn: Mutex<Option<(u64, Reloaded)>>,
    last: Mutex<Option<Reloaded>>,
    /// Set when the end begins: from then on there is nobody to load anything for.
    leaving: AtomicBool,
}

/// What a reload has loaded.
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

    /// A signal asks for one. Never blocks.
    pub(super) fn signal(&self) {
        self.signalled.notify_one();
    }

    /// From now on nothing is loaded any more; what is just being read is dropped.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// # Errors
    /// The end has begun.
    pub(super) fn still_wanted(&self) -> Result<(), DaemonError> {
        match self.leaving.load(Relaxed) {
            true => Err(DaemonError::Stopping),
            false => Ok(()),
        }
    }

    /// What the configuration in force was read from.
    pub(super) fn source(&self) -> Arc<Source> {
        held(&self.source).clone()
    }

    /// From now on it is this.
    pub(super) fn read_from(&self, source: Source) {
        *held(&self.source) = Arc::new(source);
    }

    /// The turn to reload. While it is held, nothing else is loaded.
    pub(super) fn turn(&self) -> MutexGuard<'_, Option<(u64, Reloaded)>> {
        held(&self.turn)
    }

    /// What came of the last one.
    pub(super) fn last(&self) -> Option<Reloaded> {
        held(&self.last).clone()
    }

    /// Keeps what came of one, which was done because these files have changed.
    pub(super) fn keep(
        &self,
        by: ReloadedBy,
        changed: &[&Path],
        came: Result<Loading, DaemonError>,
    ) -> Reloaded {
        let (at, file) = (Timestamp::now(), self.file.display().to_string());
        let changed = changed.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        let reloaded = match came {
            Ok(Loading { sites, files, warnings }) => {
                let outcome = ReloadOutcome::Applied;
                Reloaded { at, by, outcome, file, changed, sites, files, warnings, error: None }
            }
            Err(error) => Reloaded {
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

    /// This was the last one.
    pub(super) fn remember(&self, reloaded: Reloaded) {
        *held(&self.last) = Some(reloaded);
    }

    /// Nothing that is watched is another than in force. So what was refused, because something had
    /// changed, needs no mending any more.
    pub(super) fn changed_back(&self) -> Option<ReloadOutcome> {
        let mut last = held(&self.last);
        let last = last.as_mut().filter(|last| {
            let watched = [ReloadedBy::Files, ReloadedBy::Configuration].contains(&last.by);
            watched && last.outcome == ReloadOutcome::Refused
        })?;
        tracing::info!("the files that could not be used are again as they are in force");
        (last.at, last.outcome, last.error) = (Timestamp::now(), ReloadOutcome::ChangedBack, None);
        Some(last.outcome)
    }
}

impl Daemon {
    /// Reloads when a signal says so, until `stop`; one that hangs then is not waited for.
    pub(super) async fn heed_signals(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.reloads.signalled.notified() => {}
            }
            let daemon = Arc::clone(&self);
            // Reads files, and waits for the terminator.
            let reload = tokio::task::spawn_blocking(move || daemon.reload(ReloadedBy::Signal));
            tokio::select! {
                () = stop.cancelled() => return,
                reloaded = reload => if let Err(error) = reloaded {
                    tracing::error!("the reload was not finished: {error}");
                },
            }
        }
    }

    /// Reloads the configuration, and says how that went. On any error the old one serves on.
    pub(super) fn reload(&self, by: ReloadedBy) -> Reloaded {
        let Reloads { file, begun, .. } = &self.reloads;
        let asked = begun.load(Relaxed);
        let mut over = self.reloads.turn();
        if let Some((number, shared)) = over.as_ref()
            && *number > asked
        {
            return shared.clone();
        }
        let number = begun.fetch_add(1, Relaxed) + 1;
        manager::reloading();
        let came = self.try_reload(file);
        match &came {
            Ok(_) => {
                tracing::info!(file = %file.display(), "reloaded");
                manager::ready("serving");
            }
            Err(error) => {
                tracing::error!("not reloaded, the old configuration serves on: {error}");
                manager::ready(&format!("serving by the old configuration: {error}"));
            }
        }
        let reloaded = self.reloads.keep(by, &[], came);
        *over = Some((number, reloaded.clone()));
        reloaded
    }
}

/// None of these guards data that a panic could leave half changed.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
