//! The counters at one moment.

use std::sync::Arc;

use aop_http::http2::Limit;
use aop_tls::Refusal;

use super::{IdentitySighting, LastObservation, ObservedCount, RecentRefusal};
use crate::http::Denial;

/// The counters at one moment. Every connection with a completed handshake is counted exactly once:
/// in `accepted`, in `refused` or in `observed`. Lists by site are sorted by the site's name, then
/// by the name of the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountersSnapshot {
    /// Connections that are open now, handshakes included.
    pub open: u64,
    /// Origin pulls that were relayed.
    pub accepted: u64,
    /// Relayed origin pulls by site, without those of this host itself.
    pub served: Vec<(Arc<str>, u64)>,
    /// Unauthenticated connections that were relayed because their site observes.
    pub observed: Vec<ObservedCount>,
    /// The latest observed connection from an admitted address, for each site.
    pub last_observed: Vec<LastObservation>,
    /// Connections from addresses that are not admitted, accepted because the firewall observes.
    pub would_refuse: u64,
    /// Refusals, by site and reason.
    pub refused: Vec<RefusedCount>,
    /// Recently refused addresses, the most recent first.
    pub refused_lately: Vec<RecentRefusal>,
    /// Requests that got a whole response of an HTTP upstream, or a tunnel.
    pub relayed: u64,
    /// All other requests, by site and reason.
    pub denied: Vec<DeniedCount>,
    /// HTTP/2 connections that exceeded a rate, by site and limit.
    pub retired: Vec<RetiredCount>,
    /// Certificates that authenticated, by site, the most recent first.
    pub identities: Vec<IdentitySighting>,
    /// The number of certificates that were evicted from `identities`, by site.
    pub forgotten: Vec<(Arc<str>, u64)>,
}

/// How often a site refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCount {
    /// The site's name, or `-` where no site was reached.
    pub site: Arc<str>,
    /// The reason.
    pub refusal: Refusal,
    /// Connections.
    pub count: u64,
    /// Connections from admitted addresses, without those of this host itself.
    pub from_admitted: u64,
    /// Connections from the loopback of this host.
    pub from_this_host: u64,
}

/// How many HTTP/2 connections of a site exceeded one rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredCount {
    /// The site's name.
    pub site: Arc<str>,
    /// The limit.
    pub limit: Limit,
    /// Connections.
    pub count: u64,
}

/// How often requests of a site were denied for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedCount {
    /// The site's name.
    pub site: Arc<str>,
    /// The reason.
    pub denial: Denial,
    /// Requests.
    pub count: u64,
}
