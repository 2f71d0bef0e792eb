//! What a running daemon tells of itself and its firewall.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::Daemon;
use crate::{
    config::Live,
    control::{
        DaemonReport, FirewallSource, Handshakes, Identity, MAX_PEERS_SHOWN, Peer, Refused, Status,
        from_firewall, source_name, timestamp,
    },
    firewall,
};

/// What status and drain need of the live configuration.
pub(crate) struct LiveFacts(ArcSwap<Facts>);

struct Facts {
    source: String,
    sites: Vec<String>,
    applied: Instant,
    shutdown: Duration,
}

impl LiveFacts {
    pub(super) fn new(live: &Live) -> Self {
        Self(ArcSwap::from_pointee(Facts::of(live)))
    }

    pub(super) fn replace(&self, live: &Live) {
        self.0.store(Arc::new(Facts::of(live)));
    }

    pub(super) fn shutdown(&self) -> Duration {
        self.0.load().shutdown
    }
}

impl Facts {
    fn of(live: &Live) -> Self {
        Self {
            source: source_name(&live.prefixes),
            sites: live.sites.iter().map(|site| site.name.clone()).collect(),
            applied: Instant::now(),
            shutdown: live.shutdown,
        }
    }
}
