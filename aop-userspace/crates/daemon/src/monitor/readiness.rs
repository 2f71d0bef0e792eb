//! Whether aop serves, and if not, why: in its processes, its firewall, and behind its sites.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use aop_api::UpstreamReport;
use aop_firewall::InterfaceReading;
use tokio::sync::Mutex;

use crate::{Daemon, link::Link, status::UNLOADED};

/// For so long an answer stands, so that those who ask often cost little.
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

    /// What stands in the way of serving; nothing where it serves.
    pub(super) async fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.standing().await;
        // That is known at once, whatever else is.
        if self.daemon.handover.is_over() {
            // Whoever asked came before the other one was the daemon, and that one serves.
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
        // Waits for the terminator, and asks the kernel.
        let looked = tokio::task::spawn_blocking(move || daemon.obstacles()).await;
        let obstacles = looked.unwrap_or_else(|error| vec![error.to_string()]);
        known.insert((Instant::now(), obstacles)).1.clone()
    }
}

impl Daemon {
    fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.unguarded();
        match self.link.as_ref().map(Link::report) {
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
                interfaces.iter().filter_map(InterfaceReading::warning).collect()
            }
            Ok(None) => vec![UNLOADED.to_owned()],
            Err(error) => vec![format!("the firewall cannot be read: {error}")],
        }
    }
}
