//! Stores the client certificates that were seen, once a minute, and repeats the warnings about
//! expiry once a day.

use std::{sync::Arc, time::Duration};

use aop_api::{SeenIdentities, SiteIdentities};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    terminator_handle::{TerminatorError, TerminatorHandle},
};

mod file;
pub use file::load;
pub(crate) use file::save;

const ROUTINE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The content of the file, where it is known, and why it could not be written.
struct Kept {
    identities: Option<SeenIdentities>,
    trouble: Option<String>,
}

impl Daemon {
    /// Runs until `stop`, and stores once more then.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut kept = Kept { identities: file::load(&self.fixed.paths.state).ok(), trouble: None };
        let mut warned = Instant::now();
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = sleep(ROUTINE) => false,
            };
            let keeper = Arc::clone(&self);
            // On a blocking thread: it asks the terminator, and syncs a file.
            let keeping = tokio::task::spawn_blocking(move || keeper.keep_identities(kept));
            let Ok(next) = keeping.await else { return };
            kept = next;
            if stopped {
                return;
            }
            if warned.elapsed() >= DAY {
                warned = Instant::now();
                for note in self.facts.notes().told(aop_tls::now()) {
                    tracing::warn!("{note}");
                }
            }
        }
    }

    /// Stores the certificates that the terminator has seen, where they differ from `kept`. If it
    /// does not answer, `kept` stays.
    fn keep_identities(&self, kept: Kept) -> Kept {
        let identities = match self.identities() {
            Ok(identities) => identities,
            Err(error) => {
                tracing::debug!("the client certificates seen are not stored this time: {error}");
                return kept;
            }
        };
        let known = kept.identities.as_ref();
        if kept.trouble.is_none() && known.is_some_and(|known| says_the_same(known, &identities)) {
            return kept;
        }
        let saved = {
            let _turn = self.applying();
            if self.handover.may_change().is_err() {
                return kept;
            }
            file::save(&self.fixed.paths.state, &identities)
        };
        let trouble = saved.err().map(|error| {
            format!(
                "{}: cannot store the client certificates seen: {error}; correct paths.state, its \
                 permissions or its disk",
                self.fixed.paths.state.display()
            )
        });
        if let Some(trouble) = trouble.as_ref().filter(|new| kept.trouble.as_ref() != Some(*new)) {
            tracing::warn!("{trouble}");
        }
        Kept { identities: Some(identities), trouble }
    }

    /// The certificates that the terminator has seen; none without a terminator.
    pub(super) fn identities(&self) -> Result<SeenIdentities, TerminatorError> {
        let report = self.link.as_ref().map(TerminatorHandle::report).transpose()?;
        Ok(report.map(|report| report.identities).unwrap_or_default())
    }
}

/// Whether two documents hold the same certificates. Sites without any do not count.
fn says_the_same(one: &SeenIdentities, other: &SeenIdentities) -> bool {
    let telling = |site: &&SiteIdentities| !site.identities.is_empty();
    one.sites.iter().filter(telling).eq(other.sites.iter().filter(telling))
}
