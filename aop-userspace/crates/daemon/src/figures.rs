//! What watchers of this host are told in numbers, all of it taken at one moment: the status, without
//! the peers that the firewall keeps, and what a status does not have.

use std::time::Duration;

use aop_api::Status;
use aop_firewall::Listing;
use aop_tls::Term;
use jiff::Timestamp;

use super::Daemon;

/// A daemon at one moment.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) status: Status,
    /// The sites, in the configuration's order.
    pub(super) sites: Vec<String>,
    /// Whether the firewall could be read; `None` where it is off.
    pub(super) firewall: Option<bool>,
    /// Sampled drops that nobody could be told of.
    pub(super) lost: Option<u64>,
    /// What has an end.
    pub(super) terms: Vec<Term>,
    /// When the source last confirmed the list.
    pub(super) confirmed: Option<Timestamp>,
    /// When a refresh was last refused.
    pub(super) refused: Option<Timestamp>,
    /// How often the source is asked, where it is one that is asked.
    pub(super) refresh: Option<Duration>,
}

impl Daemon {
    /// Waits for the terminator, and asks the kernel.
    pub(super) fn figures(&self) -> Figures {
        let (status, lost) = self.status_and_lost(Listing::NoPeers);
        let in_force = self.in_force();
        let fetched = in_force.live.prefixes.url().is_some();
        Figures {
            status,
            sites: self.facts.sites(),
            firewall: self.firewall.as_ref().map(|_| lost.is_some()),
            lost,
            terms: self.facts.notes().terms,
            confirmed: in_force.held.confirmed,
            refused: in_force.course.last_failure,
            refresh: in_force.live.refresh.filter(|_| fetched),
        }
    }
}
