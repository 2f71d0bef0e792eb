//! What a running daemon tells of itself and its firewall.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use aop_common::Mode;
use arc_swap::ArcSwap;

use super::{Daemon, identities};
use crate::{
    config::Live,
    control::{DaemonReport, Handshakes, Refused, Status, from_firewall, mode_name, peer_list},
    terminator::LedgerSnapshot,
    tls::{self, Notes},
};

/// What status and drain need of the live configuration.
pub(crate) struct LiveFacts(ArcSwap<Facts>);

struct Facts {
    sites: Vec<String>,
    shutdown: Duration,
    warnings: Vec<String>,
    notes: Notes,
    mode: Mode,
}

impl LiveFacts {
    pub(super) fn new(live: &Live, warnings: Vec<String>, notes: Notes) -> Self {
        Self(ArcSwap::from_pointee(Facts::of(live, warnings, notes)))
    }

    pub(super) fn replace(&self, live: &Live, warnings: Vec<String>, notes: Notes) {
        self.0.store(Arc::new(Facts::of(live, warnings, notes)));
    }

    pub(super) fn sites(&self) -> Vec<String> {
        self.0.load().sites.clone()
    }

    pub(super) fn notes(&self) -> Notes {
        self.0.load().notes.clone()
    }

    pub(super) fn shutdown(&self) -> Duration {
        self.0.load().shutdown
    }
}

impl Facts {
    fn of(live: &Live, warnings: Vec<String>, notes: Notes) -> Self {
        Self {
            sites: live.sites.iter().map(|site| site.name.clone()).collect(),
            shutdown: live.shutdown,
            warnings,
            notes,
            mode: live.mode,
        }
    }
}

impl Daemon {
    /// The status document. Reads the pinned maps, so it takes system calls.
    pub(super) fn status(&self) -> Status {
        let facts = self.facts.0.load();
        let ledger = self.service.ledger().snapshot();
        let mut status = self.firewall_status(&facts.sites);
        if self.firewall.is_some() {
            // Also where the firewall is gone: the warning tells that, and no interface enforces.
            status.mode = mode_name(facts.mode).to_owned();
        }
        {
            let in_force = self.in_force();
            in_force.tell(&mut status.prefixes);
            status.warnings.extend(in_force.warnings());
        }
        status.daemon = Some(DaemonReport {
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            open_connections: ledger.open,
        });
        status.warnings.extend_from_slice(&facts.warnings);
        status.warnings.extend(facts.notes.told(tls::now()));
        book(&mut status, ledger);
        status
    }

    fn firewall_status(&self, sites: &[String]) -> Status {
        let Some(firewall) = &self.firewall else {
            let mut status = from_firewall(None, sites);
            let peers = self.gate.peers().in_memory();
            status.peers = peer_list(&peers, sites);
            status.peers_total = peers.len();
            (status.prefixes.v4, status.prefixes.v6) = self.gate.admission().admitted();
            return status;
        };
        // Under the lock, so that nothing is read while it is being attached.
        let reading = firewall.lock().unwrap_or_else(PoisonError::into_inner).read();
        match reading {
            Ok(Some(reading)) => from_firewall(Some(&reading), sites),
            Ok(None) => {
                let mut status = from_firewall(None, sites);
                status.warnings.push(UNLOADED.to_owned());
                status
            }
            Err(error) => {
                let mut status = from_firewall(None, sites);
                status.warnings.push(format!("the firewall cannot be read: {error}"));
                status
            }
        }
    }
}

const UNLOADED: &str =
    "the firewall was unloaded under the daemon: packets pass unjudged; restart aop to guard again";

fn book(status: &mut Status, ledger: LedgerSnapshot) {
    let refused = ledger.refused.into_iter().map(|refused| Refused {
        site: refused.site.to_string(),
        reason: refused.refusal.name().to_owned(),
        count: refused.count,
    });
    status.handshakes = Handshakes {
        accepted: ledger.accepted,
        would_refuse: ledger.would_refuse,
        refused: refused.collect(),
    };
    status.identities = ledger.identities.iter().map(identities::identity).collect();
}
