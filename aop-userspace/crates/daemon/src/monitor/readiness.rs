//! `/readyz`: whether aop serves, and if not, why: its processes, its firewall, and its upstreams.

use std::sync::Arc;

use aop_api::UpstreamReport;
use aop_firewall::GuardedInterface;
use tokio::task::spawn_blocking;

use super::cached::Cached;
use crate::{Daemon, status::UNLOADED, terminator_handle::TerminatorHandle};

/// The readiness of one daemon.
pub(super) struct Readiness {
    daemon: Arc<Daemon>,
    last: Cached<Vec<String>>,
}

impl Readiness {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon, last: Cached::new() }
    }

    /// The reasons why aop does not serve; none where it does.
    pub(super) async fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.checked().await;
        // These two are checked each time, and never from the cache.
        if self.daemon.lifecycle.is_handed_over() {
            // The client connected before the handover, and the successor serves.
            obstacles.clear();
        } else if let Some(draining) = self.draining() {
            obstacles.insert(0, draining.to_owned());
        }
        obstacles
    }

    /// The obstacle of a daemon that drains, and has no successor.
    pub(super) fn draining(&self) -> Option<&'static str> {
        let lifecycle = &self.daemon.lifecycle;
        let drains = lifecycle.is_draining() && !lifecycle.is_handed_over();
        drains.then_some("draining: no new connection is accepted")
    }

    async fn checked(&self) -> Vec<String> {
        let daemon = self.daemon.clone();
        // On a blocking thread: it waits for the terminator, and reads the maps.
        let check = async { spawn_blocking(move || daemon.obstacles()).await };
        self.last.get(check).await.unwrap_or_else(|error| vec![error.to_string()])
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
