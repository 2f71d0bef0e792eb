//! A snapshot for metrics and readiness, taken at one moment: the status without the firewall's
//! peers, and figures that the status does not have.

use std::time::Duration;

use aop_api::Status;
use aop_firewall::PeerListing;
use aop_tls::FileExpiry;
use jiff::Timestamp;

use super::{Daemon, refresh::refresh_interval};

/// A daemon at one moment.
#[derive(Debug)]
pub(super) struct MetricsSnapshot {
    pub(super) status: Status,
    /// The sites, in the order of the configuration.
    pub(super) sites: Vec<String>,
    pub(super) firewall: FirewallHealth,
    /// Sampled drops that were lost because no reader kept up.
    pub(super) lost: Option<u64>,
    /// Every certificate and list with an expiry.
    pub(super) terms: Vec<FileExpiry>,
    /// When the source last confirmed the list.
    pub(super) confirmed: Option<Timestamp>,
    /// When a refresh was last refused.
    pub(super) refused: Option<Timestamp>,
    /// How often the list is fetched; `None` where it is not.
    pub(super) refresh: Option<Duration>,
}

/// Whether the pinned maps exist and could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirewallHealth {
    /// firewall.mode is off.
    Off,
    Readable,
    /// It was unloaded, or the kernel refuses.
    Unreadable,
}

impl Daemon {
    /// Waits for the terminator, and reads the maps.
    pub(super) fn metrics_snapshot(&self) -> MetricsSnapshot {
        let (status, lost) = self.status_and_lost(PeerListing::NoPeers);
        let terms = self.file_warnings().expiries;
        let policy = self.policy.read();
        MetricsSnapshot {
            status,
            sites: policy.live.site_names(),
            firewall: match (&self.firewall, lost) {
                (None, _) => FirewallHealth::Off,
                (Some(_), Some(_)) => FirewallHealth::Readable,
                (Some(_), None) => FirewallHealth::Unreadable,
            },
            lost,
            terms,
            confirmed: policy.list.confirmed,
            refused: self.refresher.state().last_failure,
            refresh: refresh_interval(&policy.live),
        }
    }
}
