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
    Daemon,
    config_digest::Source,
    file_stat::{Look, Seen, Watch, look},
};

/// How often the files are checked, where that costs little.
const LOOK: Duration = Duration::from_secs(1);

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
struct Eye {
    of: Option<(Arc<Source>, WatchedFiles)>,
    watch: Watch<Vec<Look>>,
    retry: Option<Instant>,
}

impl Daemon {
    /// Runs until `stop`; a reload that is then under way is not waited for.
    pub(super) async fn watch_files(self: Arc<Self>, stop: CancellationToken) {
        let (mut eye, mut pause) = (Eye::default(), LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            let daemon = Arc::clone(&self);
            // On a blocking thread: a check takes as long as the file system does.
            let look = tokio::task::spawn_blocking(move || {
                let pause = daemon.look_at_files(&mut eye);
                (eye, pause)
            });
            tokio::select! {
                () = stop.cancelled() => return,
                looked = look => (eye, pause) = looked.unwrap_or_else(|error| {
                    tracing::error!("the files of sites could not be checked: {error}");
                    (Eye::default(), LOOK)
                }),
            }
        }
    }

    /// Checks the files, and loads what has changed. Returns the pause before the next check.
    fn look_at_files(&self, eye: &mut Eye) -> Duration {
        // A file that changes during an upgrade must count as unread, in case the upgrade fails.
        if self.handover.may_change().is_err() {
            return LOOK;
        }
        let (watched, source) = (self.in_force().live.watch, self.reloads.source());
        if watched == WatchedFiles::Nothing {
            *eye = Eye::default();
            return LOOK;
        }
        let as_before =
            |of: &(Arc<Source>, WatchedFiles)| Arc::ptr_eq(&of.0, &source) && of.1 == watched;
        if !eye.of.as_ref().is_some_and(as_before) {
            *eye = Eye { of: Some((source.clone(), watched)), ..Eye::default() };
        }
        let begun = cpu_time();
        let mut looks: Vec<Look> = Vec::with_capacity(source.files().len() + 1);
        looks.extend(source.files().map(look));
        if watched == WatchedFiles::All {
            looks.push(look(self.reloads.file()));
        }
        let seen = eye.watch.judge(looks);
        let pause = LOOK.max(cpu_time().saturating_sub(begun) * PAUSES);
        let due = match seen {
            Seen::Changed => true,
            Seen::AsRead => eye.retry.is_some_and(|retry| retry <= Instant::now()),
            Seen::Restless => false,
        };
        if due {
            let outcome = self.take_up_files(&source, watched);
            let refused = outcome == Some(ReloadOutcome::Refused);
            eye.retry = if refused { Instant::now().checked_add(RETRY) } else { None };
        }
        pause
    }

    /// Loads what differs from what is in force; `None` where nothing does.
    fn take_up_files(&self, source: &Source, watched: WatchedFiles) -> Option<ReloadOutcome> {
        let text = || Config::text(self.reloads.file()).ok();
        let edited = watched == WatchedFiles::All && text().as_ref() != Some(&source.text);
        let refused = edited.then(|| self.reload(ReloadedBy::Configuration));
        if refused.as_ref().is_some_and(|reload| reload.outcome == ReloadOutcome::Applied) {
            return Some(ReloadOutcome::Applied);
        }
        // Renewed certificates are loaded even while an edited configuration is refused.
        let renewed = self.renew();
        match refused {
            Some(refused) => {
                // The status shows the refused configuration, which still has to be corrected.
                self.reloads.remember(refused);
                Some(ReloadOutcome::Refused)
            }
            None => renewed.or_else(|| self.reloads.changed_back()),
        }
    }

    /// Loads the files of sites again; `None` where they are as in force.
    fn renew(&self) -> Option<ReloadOutcome> {
        let _turn = self.reloads.turn();
        // While this waited for the turn, another reload may have loaded them.
        let source = self.reloads.source();
        let changed = source.changed();
        if changed.is_empty() {
            return None;
        }
        let named = named(&changed);
        let came = self.try_renew();
        match &came {
            Ok(_) => tracing::info!("changed files of sites are in force: {named}"),
            Err(error) => tracing::error!(
                "changed files of sites were refused, the old ones stay in force: {error}; \
                 changed: {named}"
            ),
        }
        Some(self.reloads.keep(ReloadedBy::Files, &changed, came).outcome)
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
