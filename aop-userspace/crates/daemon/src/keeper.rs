//! Keeps what must outlive the daemon, and says again what an operator has not mended.

use std::{sync::Arc, time::Duration};

use aop_api::{Identities, SiteIdentities};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Daemon, identities,
    link::{Link, LinkError},
};

const ROUTINE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the file holds, where that is known, and what was wrong with writing it.
struct Kept {
    identities: Option<Identities>,
    trouble: Option<String>,
}

impl Daemon {
    /// Until `stop`, and once more then.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut kept =
            Kept { identities: identities::load(&self.fixed.paths.state).ok(), trouble: None };
        let mut told = Instant::now();
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = sleep(ROUTINE) => false,
            };
            let keeper = Arc::clone(&self);
            // Asks the terminator, and writes and syncs a file.
            let keeping = tokio::task::spawn_blocking(move || keeper.keep_identities(kept));
            let Ok(next) = keeping.await else { return };
            kept = next;
            if stopped {
                return;
            }
            if told.elapsed() >= DAY {
                told = Instant::now();
                for note in self.facts.notes().told(aop_tls::now()) {
                    tracing::warn!("{note}");
                }
            }
        }
    }

    /// Writes what the terminator has seen, where that is not what was `kept` last. While it does
    /// not answer, that stays.
    fn keep_identities(&self, kept: Kept) -> Kept {
        let identities = match self.identities() {
            Ok(identities) => identities,
            Err(error) => {
                tracing::debug!("the client certificates seen are not kept this time: {error}");
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
            identities::save(&self.fixed.paths.state, &identities)
        };
        let trouble = saved.err().map(|error| {
            format!(
                "{}: cannot keep the client certificates seen: {error}; correct paths.state or its \
                 permissions",
                self.fixed.paths.state.display()
            )
        });
        if let Some(trouble) = trouble.as_ref().filter(|new| kept.trouble.as_ref() != Some(*new)) {
            tracing::warn!("{trouble}");
        }
        Kept { identities: Some(identities), trouble }
    }

    /// What the terminator has seen; without one, nothing.
    pub(super) fn identities(&self) -> Result<Identities, LinkError> {
        let report = self.link.as_ref().map(Link::report).transpose()?;
        Ok(report.map(|report| report.identities).unwrap_or_default())
    }
}

/// Whether two documents tell of the same certificates. A site without any tells nothing.
fn says_the_same(one: &Identities, other: &Identities) -> bool {
    let telling = |site: &&SiteIdentities| !site.identities.is_empty();
    one.sites.iter().filter(telling).eq(other.sites.iter().filter(telling))
}
