//! The counters of the terminator since the daemon started.

use serde::{Deserialize, Serialize};

use super::{LastObserved, RefusedPeer};

/// The terminator's counters since the daemon started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Handshakes {
    /// Authenticated connections that were relayed.
    pub accepted: u64,
    /// Connections from addresses that enforcing would have refused.
    pub would_refuse: u64,
    /// Refused connections.
    pub refused: Vec<RefusalCount>,
    /// Those of them that came from admitted addresses.
    #[serde(default)]
    pub refused_from_admitted: Vec<RefusalCount>,
    /// Those of `refused` that came from the loopback addresses of this host, as the attempts of
    /// `aop doctor` do.
    #[serde(default)]
    pub refused_from_this_host: Vec<RefusalCount>,
    /// Addresses that were refused recently, the last seen first; at most 64. The loopback
    /// addresses of this host are left out here, and in `refused_from_admitted`.
    #[serde(default)]
    pub refused_lately: Vec<RefusedPeer>,
    /// Connections that were relayed only because their site observes.
    #[serde(default)]
    pub observed: Vec<RefusalCount>,
    /// Those of them that came from admitted addresses.
    #[serde(default)]
    pub observed_from_admitted: Vec<RefusalCount>,
    /// Those of `observed_from_admitted` within the last day, or since the site observes.
    #[serde(default)]
    pub observed_lately: Vec<RefusalCount>,
    /// The latest of these for each site.
    #[serde(default)]
    pub last_observed: Vec<LastObserved>,
}

/// Refused connections or requests of one site for one reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusalCount {
    /// The site, or `-` where none was found.
    pub site: String,
    /// The refusal's stable name, from the table of refusals.
    pub reason: String,
    /// Number of connections or requests.
    pub count: u64,
}

/// Requests since the daemon started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    /// Requests that got a whole response of an upstream, or a tunnel.
    pub relayed: u64,
    /// All other requests, by the reason.
    pub refused: Vec<RefusalCount>,
    /// HTTP/2 connections that exceeded a rate and were retired, by the limit.
    #[serde(default)]
    pub retired: Vec<RefusalCount>,
    /// The open requests and tunnels at the upstreams, for each site that has some.
    #[serde(default)]
    pub open: Vec<OpenRequestsReport>,
}

/// The open requests and tunnels at the upstream of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequestsReport {
    /// The site.
    pub site: String,
    /// Requests.
    pub requests: SlotUsageReport,
    /// WebSockets and event streams.
    pub tunnels: SlotUsageReport,
}

/// A number of open requests or tunnels, and the bound on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotUsageReport {
    /// How many are open.
    pub open: usize,
    /// How many may be open.
    pub limit: usize,
}

impl OpenRequestsReport {
    /// Warnings about bounds that are nearly met: at four fifths.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Self { site, requests, tunnels } = self;
        let near = |what, key, usage: &SlotUsageReport| {
            let SlotUsageReport { open, limit } = usage;
            (open * 5 >= limit * 4).then(|| {
                format!(
                    "site {site}: {open} of {limit} {what} are open at its upstream; further ones \
                     get a 503. If it can serve more, raise {key}"
                )
            })
        };
        let requests = near("requests", "site.http.requests", requests);
        let tunnels = near("tunnels", "site.http.tunnels", tunnels);
        requests.into_iter().chain(tunnels).collect()
    }
}

/// The upstream of a site with an `upstream_check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamReport {
    /// The site.
    pub site: String,
    /// Its address.
    pub upstream: String,
    /// The result of the last check; `null` before the first.
    pub good: Option<bool>,
    /// Why it failed; `null` where it did not.
    pub error: Option<String>,
}

impl UpstreamReport {
    /// Why the site cannot be served, where it cannot.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let Self { site, upstream, good, error } = self;
        match good {
            Some(true) => None,
            Some(false) => {
                let error = error.as_deref().unwrap_or("no reason given");
                Some(format!("site {site}: its upstream {upstream} fails its check: {error}"))
            }
            None => Some(format!("site {site}: its upstream {upstream} has not been checked yet")),
        }
    }
}
