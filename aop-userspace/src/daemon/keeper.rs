//! Keeps what must outlive the daemon, and says again what an operator has not mended.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Daemon, identities};
use crate::{control::Identities, tls};

const ROUTINE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What was written last, and what was wrong with that.
struct Kept {
    identities: Identities,
    trouble: Option<String>,
}

impl Daemon {
    /// Until `stop`, and once more then.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut kept = Kept { identities: self.identities(), trouble: None };
        let mut told = Instant::now();
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = sleep(ROUTINE) => false,
            };
            let keeper = Arc::clone(&self);
            // Writes and syncs a file.
            let keeping = tokio::task::spawn_blocking(move || keeper.keep_identities(kept));
            let Ok(next) = keeping.await else { return };
            kept = next;
            if stopped {
                return;
            }
            if told.elapsed() >= DAY {
                told = Instant::now();
                for note in self.facts.notes().told(tls::now()) {
                    tracing::warn!("{note}");
                }
            }
        }
    }

    /// Writes what the ledger has seen, where that is not what was `kept` last.
    fn keep_identities(&self, kept: Kept) -> Kept {
        let identities = self.identities();
        if kept.trouble.is_none() && kept.identities == identities {
            return kept;
        }
        let saved = identities::save(&self.fixed.paths.state, &identities);
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
        Kept { identities, trouble }
    }

    pub(super) fn identities(&self) -> Identities {
        identities::of(&self.service.ledger().snapshot(), &self.facts.sites())
    }
}
