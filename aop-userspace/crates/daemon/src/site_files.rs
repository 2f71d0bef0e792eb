//! Watches the files of sites, and the configuration where `watch` asks for it, and loads changes.
//!
//! A changed site file is loaded with the configuration in force, not with one that is half edited
//! on disk. A file that cannot be used is reported, and tried again when any file changes.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use aop_api::{ReloadOutcome, ReloadedBy};
use aop_config::{Config, WatchedFiles};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Daemon, DaemonError, background,
    config_digest::ConfigDigest,
    file_stat::{FileStat, FileState, StableChange, file_stat},
};

/// How often the files are checked, where that costs little.
const PERIOD: Duration = Duration::from_secs(1);

/// A check that takes longer is followed by a longer pause: this many times its CPU time, so that
/// checks take half a percent of a CPU.
const PAUSES: u32 = 200;

/// After this time a refused file is tried again although nothing has changed: the cause may have
/// lain elsewhere.
const RETRY: Duration = Duration::from_secs(600);

/// How many files a log line names.
const NAMED: usize = 10;

/// The state of the checks of one set of files.
#[derive(Default)]
struct FileWatch {
    subject: Option<(Arc<ConfigDigest>, WatchedFiles)>,
    change: StableChange<Vec<FileStat>>,
    retry: Option<Instant>,
}

impl Daemon {
    /// Runs until `stop`; a reload that is then under way is not waited for.
    pub(super) async fn watch_files(self: Arc<Self>, stop: CancellationToken) {
        let (mut watch, mut pause) = (FileWatch::default(), PERIOD);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            let daemon = Arc::clone(&self);
            // On a blocking thread: a check takes as long as the file system does.
            let check = move || {
                let pause = daemon.check_files(&mut watch);
                (watch, pause)
            };
            let Some(checked) = background::run(&stop, check).await else { return };
            (watch, pause) = checked.unwrap_or_else(|error| {
                tracing::error!("the files of sites could not be checked: {error}");
                (FileWatch::default(), PERIOD)
            });
        }
    }

    /// Checks the files, and loads what has changed. Returns the pause before the next check.
    fn check_files(&self, watch: &mut FileWatch) -> Duration {
        // A file that changes during an upgrade must count as unread, in case the upgrade fails.
        if self.lifecycle.may_change().is_err() {
            return PERIOD;
        }
        let (watched, source) = {
            let policy = self.policy.read();
            (policy.live.watch, policy.source.clone())
        };
        if watched == WatchedFiles::Nothing {
            *watch = FileWatch::default();
            return PERIOD;
        }
        let as_before =
            |of: &(Arc<ConfigDigest>, WatchedFiles)| Arc::ptr_eq(&of.0, &source) && of.1 == watched;
        if !watch.subject.as_ref().is_some_and(as_before) {
            *watch = FileWatch { subject: Some((source.clone(), watched)), ..FileWatch::default() };
        }
        let begun = cpu_time();
        let mut stats: Vec<FileStat> = Vec::with_capacity(source.files().len() + 1);
        stats.extend(source.files().map(file_stat));
        if watched == WatchedFiles::All {
            stats.push(file_stat(self.reloads.file()));
        }
        let state = watch.change.check(stats);
        let pause = PERIOD.max(cpu_time().saturating_sub(begun) * PAUSES);
        let due = match state {
            FileState::Changed => true,
            FileState::Unchanged => watch.retry.is_some_and(|retry| retry <= Instant::now()),
            FileState::Settling => false,
        };
        if due {
            let outcome = self.load_changes(&source, watched);
            let refused = outcome == Some(ReloadOutcome::Refused);
            watch.retry = if refused { Instant::now().checked_add(RETRY) } else { None };
        }
        pause
    }

    /// Loads what differs from what is in force; `None` where nothing does.
    fn load_changes(&self, source: &ConfigDigest, watched: WatchedFiles) -> Option<ReloadOutcome> {
        let text = || Config::text(self.reloads.file()).ok();
        let edited = watched == WatchedFiles::All && text().as_ref() != Some(&source.text);
        let refused = edited.then(|| self.reload(ReloadedBy::Configuration));
        if refused.as_ref().is_some_and(|reload| reload.outcome == ReloadOutcome::Applied) {
            return Some(ReloadOutcome::Applied);
        }
        // Renewed certificates are loaded even while an edited configuration is refused.
        let renewed = self.reload_site_files();
        match refused {
            Some(refused) => {
                // The status shows the refused configuration, which still has to be corrected.
                self.reloads.replace_last(refused);
                Some(ReloadOutcome::Refused)
            }
            None => renewed.or_else(|| self.reloads.changed_back()),
        }
    }

    /// Loads the files of sites again; `None` where they are as in force.
    fn reload_site_files(&self) -> Option<ReloadOutcome> {
        let _turn = self.reloads.turn();
        // While this waited for the turn, another reload may have loaded them.
        let source = self.policy.read().source.clone();
        let changed = source.changed();
        if changed.is_empty() {
            return None;
        }
        let named = named(&changed);
        let result = self.try_reload_site_files();
        match &result {
            Ok(_) => tracing::info!("changed files of sites are in force: {named}"),
            Err(error @ DaemonError::Declined(_)) => {
                tracing::error!("{error}. Other changed files are in force. Changed: {named}");
            }
            Err(error) => tracing::error!(
                "changed files of sites were refused, the old ones stay in force: {error}; \
                 changed: {named}"
            ),
        }
        Some(self.reloads.record(ReloadedBy::Files, &changed, result).outcome)
    }
}

fn named(changed: &[&Path]) -> String {
    let shown = changed.iter().take(NAMED).map(|path| path.display().to_string());
    let more = changed.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
