//! `/readyz`: whether aop serves, and if not, why: its processes, its firewall, and its upstreams.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aop_api::UpstreamReport;
use aop_firewall::GuardedInterface;
use tokio::sync::Mutex;

use crate::{Daemon, status::UNLOADED, terminator_handle::TerminatorHandle};

/// How long an answer is given again, so that frequent requests cost little.
const CACHE_TIME: Duration = Duration::from_secs(1);

/// The readiness of one daemon.
pub(super) struct Readiness {
    daemon: Arc<Daemon>,
    cache: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Readiness {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon, cache: Mutex::default() }
    }

    /// The reasons why aop does not serve; none where it does.
    pub(super) async fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.cached().await;
        // These two are checked each time, and never from the cache.
        if self.daemon.lifecycle.is_handed_over() {
            // The client connected before the handover, and the successor serves.
            obstacles.clear();
        } else if self.daemon.lifecycle.is_draining() {
            obstacles.insert(0, "draining: no new connection is accepted".to_owned());
        }
        obstacles
    }

    async fn cached(&self) -> Vec<String> {
        let mut cache = self.cache.lock().await;
        if let Some((at, obstacles)) = &*cache
            && at.elapsed() < CACHE_TIME
        {
            return obstacles.clone();
        }
        let daemon = self.daemon.clone();
        // On a blocking thread: it waits for the terminator, and reads the maps.
        let checked = tokio::task::spawn_blocking(move || daemon.obstacles()).await;
        let obstacles = checked.unwrap_or_else(|error| vec![error.to_string()]);
        cache.insert((Instant::now(), obstacles)).1.clone()
    }
}

impl Daemon {
    fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.unguarded();
        match self.terminator.as_ref().map(TerminatorHandle::report) {
            None => {}
            Some(Ok(report)) => {
                obstacles.extend(report.upstreams.iter().filter_map(UpstreamReport::obstacle));
            }
            Some(Err(error)) => obstacles.push(error.to_string()),
        }
        obstacles
    }

    fn unguarded(&self) -> Vec<String> {
        let Some(firewall) = self.firewall() else { return Vec::new() };
        match firewall.interfaces() {
            Ok(Some(interfaces)) => {
                interfaces.iter().filter_map(GuardedInterface::warning).collect()
            }
            Ok(None) => vec![UNLOADED.to_owned()],
            Err(error) => vec![format!("the firewall cannot be read: {error}")],
        }
    }
}
