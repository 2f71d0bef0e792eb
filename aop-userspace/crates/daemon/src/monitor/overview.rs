//! The data of the status page.

use std::{fs, io, sync::Arc};

use aop_api::Overview;
use aop_firewall::PeerListing;
use jiff::Timestamp;
use tokio::task::spawn_blocking;

use super::cached::Cached;
use crate::Daemon;

/// The data of one daemon.
pub(super) struct OverviewData {
    daemon: Arc<Daemon>,
    last: Cached<Arc<str>>,
}

impl OverviewData {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon, last: Cached::new() }
    }

    /// The document in JSON. `draining` says so if aop drains.
    ///
    /// # Errors
    /// The document cannot be made.
    pub(super) async fn json(&self, draining: Option<&'static str>) -> io::Result<String> {
        let daemon = Arc::clone(&self.daemon);
        // On a blocking thread: it waits for the terminator, and reads the maps.
        let made = async { spawn_blocking(move || made(&daemon, draining)).await? };
        self.last.get(made).await.map(|json| json.to_string())
    }
}

fn made(daemon: &Daemon, draining: Option<&str>) -> io::Result<Arc<str>> {
    // Without the peers: their map may have a million entries.
    let (status, _) = daemon.status_and_lost(PeerListing::NoPeers);
    let strangers = daemon.strangers().map_err(io::Error::other)?.sources;
    let overview = Overview::of(status, strangers, draining, &host_name(), Timestamp::now());
    Ok(serde_json::to_string(&overview)?.into())
}

/// The name of the host; empty where the kernel does not tell it.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}
