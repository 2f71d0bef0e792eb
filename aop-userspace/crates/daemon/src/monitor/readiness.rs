//! `/readyz`: whether aop serves, and if not, why: its processes, its firewall, and its upstreams.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use aop_api::UpstreamReport;
use aop_firewall::GuardedInterface;
use tokio::sync::Mutex;

use crate::{Daemon, status::UNLOADED, terminator_handle::TerminatorHandle};

/// How long an answer is given again, so that frequent requests cost little.
const STANDS: Duration = Duration::from_secs(1);

/// The readiness of one daemon.
pub(super) struct Readiness {
    daemon: Arc<Daemon>,
    known: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Readiness {
    pub(super) fn of(daemon: Arc<Daemon>) -> Self {
        Self { daemon, known: Mutex::default() }
    }

    /// The reasons why aop does not serve; none where it does.
    pub(super) async fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.standing().await;
        // These two are checked each time, and never from the cache.
        if self.daemon.handover.is_over() {
            // The client connected before the handover, and the successor serves.
            obstacles.clear();
        } else if self.daemon.reloads.still_wanted().is_err() {
            obstacles.insert(0, "draining: no new connection is accepted".to_owned());
        }
        obstacles
    }

    async fn standing(&self) -> Vec<String> {
        let mut known = self.known.lock().await;
        if let Some((at, obstacles)) = &*known
            && at.elapsed() < STANDS
        {
            return obstacles.clone();
        }
        let daemon = self.daemon.clone();
        // On a blocking thread: it waits for the terminator, and reads the maps.
        let looked = tokio::task::spawn_blocking(move || daemon.obstacles()).await;
        let obstacles = looked.unwrap_or_else(|error| vec![error.to_string()]);
        known.insert((Instant::now(), obstacles)).1.clone()
    }
}

impl Daemon {
    fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.unguarded();
        match self.link.as_ref().map(TerminatorHandle::report) {
            None => {}
            Some(Ok(report)) => {
                obstacles.extend(report.upstreams.iter().filter_map(UpstreamReport::obstacle));
            }
            Some(Err(error)) => obstacles.push(error.to_string()),
        }
        obstacles
    }

    fn unguarded(&self) -> Vec<String> {
        let Some(firewall) = &self.firewall else { return Vec::new() };
        match firewall.lock().unwrap_or_else(PoisonError::into_inner).interfaces() {
            Ok(Some(interfaces)) => {
                interfaces.iter().filter_map(GuardedInterface::warning).collect()
            }
            Ok(None) => vec![UNLOADED.to_owned()],
            Err(error) => vec![format!("the firewall cannot be read: {error}")],
        }
    }
}
