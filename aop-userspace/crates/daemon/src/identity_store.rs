//! Stores the client certificates that were seen, once a minute, and repeats the warnings about
//! expiry once a day.

use std::{sync::Arc, time::Duration};

use aop_api::{Handshakes, SeenIdentities, SiteIdentities, terminator::TerminatorSnapshot};
use aop_cloudflare::OwnCertificates;
use jiff::Timestamp;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    background::LastError,
    terminator_handle::{TerminatorError, TerminatorHandle},
};

mod file;
pub use file::load;
pub(crate) use file::save;

const PERIOD: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The content of the file, where it is known, and why it could not be written.
struct StoredIdentities {
    identities: Option<SeenIdentities>,
    trouble: LastError,
}

impl Daemon {
    /// Runs until `stop`, and stores once more then.
    pub(super) async fn store_identities(self: Arc<Self>, stop: CancellationToken) {
        let identities = file::load(&self.settings.paths.state).ok();
        let mut stored = StoredIdentities { identities, trouble: LastError::default() };
        let mut warned = Instant::now();
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = sleep(PERIOD) => false,
            };
            let daemon = Arc::clone(&self);
            // On a blocking thread: it asks the terminator, and syncs a file.
            let storing = spawn_blocking(move || {
                daemon.store_new_identities(&mut stored);
                stored
            });
            let Ok(next) = storing.await else { return };
            stored = next;
            if stopped {
                return;
            }
            if warned.elapsed() >= DAY {
                warned = Instant::now();
                for warning in self.file_warnings().texts(aop_types::unix_seconds()) {
                    tracing::warn!("{warning}");
                }
            }
        }
    }

    /// Stores the certificates that the terminator has seen, where they differ from `stored`. If it
    /// does not answer, `stored` stays.
    fn store_new_identities(&self, stored: &mut StoredIdentities) {
        let report = self.terminator.as_ref().map(TerminatorHandle::report).transpose();
        let TerminatorSnapshot { identities, handshakes, .. } = match report {
            Ok(report) => report.unwrap_or_default(),
            Err(error) => {
                tracing::debug!("nothing that was seen is stored this time: {error}");
                return;
            }
        };
        self.store_evidence(&handshakes);
        let known = stored.identities.as_ref();
        if !stored.trouble.is_some() && known.is_some_and(|known| is_same(known, &identities)) {
            return;
        }
        let state = &self.settings.paths.state;
        let saved = {
            let _no_changes = self.policy.exclude_changes();
            if self.lifecycle.is_handing_over() {
                return;
            }
            file::save(state, &identities)
        };
        stored.identities = Some(identities);
        let trouble = saved.err().map(|error| {
            format!(
                "{}: cannot store the client certificates seen: {error}; correct paths.state, its \
                 permissions or its disk",
                state.display()
            )
        });
        if let Some(trouble) = stored.trouble.replace(trouble) {
            tracing::warn!("{trouble}");
        }
    }

    fn store_evidence(&self, handshakes: &Handshakes) {
        let _no_changes = self.policy.exclude_changes();
        if self.lifecycle.is_handing_over() {
            return;
        }
        let state = &self.settings.paths.state;
        if let Err(error) = self.evidence.store(state, handshakes, Timestamp::now()) {
            tracing::debug!("the pulls observed are not stored this time: {error}");
        }
    }

    /// The certificates that the terminator has seen, with those of rolls marked.
    pub(super) fn marked_identities(&self) -> Result<SeenIdentities, TerminatorError> {
        let mut identities = self.identities()?;
        OwnCertificates::read(&self.settings.paths.state).mark(&mut identities);
        Ok(identities)
    }

    /// The certificates that the terminator has seen; none without a terminator.
    pub(super) fn identities(&self) -> Result<SeenIdentities, TerminatorError> {
        let report = self.terminator.as_ref().map(TerminatorHandle::report).transpose()?;
        Ok(report.map(|report| report.identities).unwrap_or_default())
    }
}

/// Whether two documents hold the same certificates. Sites without any do not count.
fn is_same(one: &SeenIdentities, other: &SeenIdentities) -> bool {
    let has_any = |site: &&SiteIdentities| !site.identities.is_empty();
    one.sites.iter().filter(has_any).eq(other.sites.iter().filter(has_any))
}
