//! Takes up the files of sites, and where it is asked for the configuration too, when they change.
//!
//! A file that is replaced takes the rest of the configuration as it is in force, not as it may stand
//! half edited on the disk. What cannot be used is told, and tried again when anything changes.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use aop_api::{ReloadOutcome, ReloadedBy};
use aop_config::{Config, Watched};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    looks::{Look, Seen, Watch, look},
    source::Source,
};

/// How often the files are looked at, where that costs little.
const LOOK: Duration = Duration::from_secs(1);

/// A look that takes longer is followed by a longer pause: so many times what it took of a CPU, which
/// is half a percent.
const PAUSES: u32 = 200;

/// When what could not be used is tried again though nothing has changed: it may not have been the
/// files' fault.
const RETRY: Duration = Duration::from_secs(600);

/// Files that a log line names.
const NAMED: usize = 10;

/// What has been seen of the files of one source.
#[derive(Default)]
struct Eye {
    of: Option<(Arc<Source>, Watched)>,
    watch: Watch<Vec<Look>>,
    retry: Option<Instant>,
}

impl Daemon {
    /// Until `stop`, without waiting for a reload that is then under way.
    pub(super) async fn watch_files(self: Arc<Self>, stop: CancellationToken) {
        let (mut eye, mut pause) = (Eye::default(), LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            let daemon = Arc::clone(&self);
            // Blocks for as long as the file system does.
            let look = tokio::task::spawn_blocking(move || {
                let pause = daemon.look_at_files(&mut eye);
                (eye, pause)
            });
            tokio::select! {
                () = stop.cancelled() => return,
                looked = look => (eye, pause) = looked.unwrap_or_else(|error| {
                    tracing::error!("the files of sites were not looked at: {error}");
                    (Eye::default(), LOOK)
                }),
            }
        }
    }

    /// Looks, and takes up what has changed. How long to pause before the next look.
    fn look_at_files(&self, eye: &mut Eye) -> Duration {
        // What changes during an upgrade is to count as unread, should that fail.
        if self.handover.may_change().is_err() {
            return LOOK;
        }
        let (watched, source) = (self.in_force().live.watch, self.reloads.source());
        if watched == Watched::Nothing {
            *eye = Eye::default();
            return LOOK;
        }
        let as_before =
            |of: &(Arc<Source>, Watched)| Arc::ptr_eq(&of.0, &source) && of.1 == watched;
        if !eye.of.as_ref().is_some_and(as_before) {
            *eye = Eye { of: Some((source.clone(), watched)), ..Eye::default() };
        }
        let begun = cpu_time();
        let mut looks: Vec<Look> = Vec::with_capacity(source.files().len() + 1);
        looks.extend(source.files().map(look));
        if watched == Watched::All {
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

    /// Loads what is another than in force; nothing where nothing is.
    fn take_up_files(&self, source: &Source, watched: Watched) -> Option<ReloadOutcome> {
        let text = || Config::text(self.reloads.file()).ok();
        let edited = watched == Watched::All && text().as_ref() != Some(&source.text);
        let refused = edited.then(|| self.reload(ReloadedBy::Configuration));
        if refused.as_ref().is_some_and(|reload| reload.outcome == ReloadOutcome::Applied) {
            return Some(ReloadOutcome::Applied);
        }
        // Certificates are renewed all the same while an edit waits to be mended.
        let renewed = self.renew();
        match refused {
            Some(refused) => {
                // The last word is about what still has to be mended.
                self.reloads.remember(refused);
                Some(ReloadOutcome::Refused)
            }
            None => renewed.or_else(|| self.reloads.changed_back()),
        }
    }

    /// Loads the files of sites anew, and says how that went; nothing where they are as in force.
    fn renew(&self) -> Option<ReloadOutcome> {
        let _turn = self.reloads.turn();
        // While the turn was waited for, another reload may have loaded them.
        let source = self.reloads.source();
        let changed = source.changed();
        if changed.is_empty() {
            return None;
        }
        let named = named(&changed);
        let came = self.try_renew();
        match &came {
            Ok(_) => tracing::info!("files of sites have changed and are in force: {named}"),
            Err(error) => tracing::error!(
                "files of sites have changed and are not in force, the old ones serve on: {error}; \
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

/// What this thread has taken of a CPU so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
