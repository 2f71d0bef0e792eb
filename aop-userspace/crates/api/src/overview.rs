//! The document behind the status page: what `aop status` knows, summed up and bounded, so that a
//! browser can ask for it every two seconds.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aop_types::SafeText;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ActionName, DaemonReport, Expiry, FleetLink, HealthLevel, InterfaceStatus, MAX_EXPIRIES,
    ModeName, Opening, PendingMode, Predecessor, PrefixStatus, RefusalCount, RefusedPeer,
    SeenIdentity, Status, StrangerStatus, UpstreamReport, VerdictCount, names::stable_names,
};

/// The most rows of a list.
const MAX_ROWS: usize = 50;
/// The most reasons of a counter. Further ones are summed up as [`OTHER`].
const MAX_REASONS: usize = 64;
/// The reason of counts beyond [`MAX_REASONS`].
const OTHER: &str = "other";
/// The most characters of a warning.
const MAX_WARNING: usize = 1024;
/// The most characters of other text.
const MAX_FIELD: usize = 256;

/// The data of the status page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// When it was made.
    pub at: Timestamp,
    /// The name of the host.
    pub host: String,
    /// The version of aop that answers.
    pub version: String,
    /// The verdict in one word.
    pub state: OverviewState,
    /// Why visitors are not served, or packets are not filtered.
    pub obstacles: Listed<String>,
    /// Warnings for the operator.
    pub warnings: Listed<String>,
    /// The daemon.
    pub daemon: Option<DaemonReport>,
    /// Whether the terminator process answers; `null` where none runs.
    pub terminator_answers: Option<bool>,
    /// Draining predecessors.
    pub predecessors: Listed<Predecessor>,
    /// The general mode.
    pub mode: ModeName,
    /// Ports, interfaces and sites with another mode, a line each.
    pub overrides: Listed<String>,
    /// The mode override that waits for `aop confirm`; `null` where none does.
    pub pending: Option<PendingMode>,
    /// Networks that `aop open` admits for a time.
    pub openings: Listed<Opening>,
    /// The guarded interfaces.
    pub interfaces: Listed<InterfaceStatus>,
    /// Interfaces over which the host can be reached, and that cannot be guarded.
    pub unguardable: Listed<String>,
    /// The admitted prefixes.
    pub prefixes: PrefixStatus,
    /// The packet counters, summed over all interfaces.
    pub packets: Vec<PacketSum>,
    /// Authenticated connections that were relayed.
    pub accepted: u64,
    /// Refused connections, summed over all sites.
    pub refused: Vec<ReasonSum>,
    /// Connections that were relayed only because their site observes, summed over all sites.
    pub observed: Vec<ReasonSum>,
    /// Requests that got a whole response of an upstream, or a tunnel.
    pub relayed: u64,
    /// All other requests, summed over all sites.
    pub denied: Vec<ReasonSum>,
    /// Requests that are open at upstreams.
    pub requests_open: usize,
    /// WebSockets and event streams that are open at upstreams.
    pub tunnels_open: usize,
    /// The upstreams of sites that have an `upstream_check`.
    pub upstreams: Listed<UpstreamReport>,
    /// The sources that no prefix admits, those of most packets first.
    pub strangers: Listed<StrangerStatus>,
    /// Addresses that the terminator refused recently, the last seen first.
    pub refused_lately: Listed<RefusedPeer>,
    /// The client certificates that peers presented, the last seen first.
    pub identities: Listed<SeenIdentity>,
    /// The next expiries, the soonest first.
    pub ends: Listed<Expiry>,
    /// The link to the fleet; `null` if there is no `[fleet]`.
    pub fleet: Option<FleetLink>,
}

stable_names! {
    /// The verdict of the status page.
    OverviewState {
        /// aop serves, and nothing needs attention.
        Ok = "ok",
        /// aop serves, and an operator should read the warnings.
        Warning = "warning",
        /// aop does not serve, or packets pass unjudged.
        Critical = "critical",
    }
}

/// The first rows of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Their number; the rows beyond the bound are left out.
    pub total: usize,
}

/// Packets of all interfaces with one action for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketSum {
    /// The action.
    pub action: ActionName,
    /// The reason's stable name, from the table of packet reasons.
    pub reason: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames.
    pub bytes: u64,
}

/// Connections or requests of all sites for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonSum {
    /// The reason's stable name, from the table of refusals.
    pub reason: String,
    /// Number of connections or requests.
    pub count: u64,
}

impl Overview {
    /// The overview of `status` and `strangers` on `host`. `draining` says so if aop drains.
    #[must_use]
    pub fn of(
        status: Status,
        strangers: Vec<StrangerStatus>,
        draining: Option<&str>,
        host: &str,
        at: Timestamp,
    ) -> Self {
        let health = status.health(at);
        let state = match (draining, health.level()) {
            (Some(_), _) | (None, HealthLevel::Critical) => OverviewState::Critical,
            (None, HealthLevel::Warning) => OverviewState::Warning,
            (None, HealthLevel::Ok) => OverviewState::Ok,
        };
        let failures = health.failures().iter().map(String::as_str);
        let obstacles = draining.into_iter().chain(failures).map(str::to_owned).collect();
        let sites = status.modes.sites.iter().map(crate::SiteMode::line);
        let overrides = status.modes.lines().into_iter().chain(sites).collect();
        let open = &status.requests.open;
        let mut identities = status.identities;
        identities.sort_by_key(|identity| std::cmp::Reverse(identity.last_seen));
        Self {
            at,
            host: short(host),
            version: status.version,
            state,
            obstacles: Listed::texts(obstacles),
            warnings: Listed::texts(health.warnings().to_vec()),
            daemon: status.daemon,
            terminator_answers: status.terminator.map(|terminator| terminator.answers),
            predecessors: Listed::first(status.predecessors),
            mode: status.mode,
            overrides: Listed::texts(overrides),
            pending: status.modes.pending,
            openings: Listed::first(status.openings),
            interfaces: Listed::first(status.interfaces),
            unguardable: Listed::texts(status.unguardable),
            prefixes: status.prefixes,
            packets: packet_sums(&status.verdicts),
            accepted: status.handshakes.accepted,
            refused: reason_sums(&status.handshakes.refused),
            observed: reason_sums(&status.handshakes.observed),
            relayed: status.requests.relayed,
            denied: reason_sums(&status.requests.refused),
            requests_open: open.iter().map(|site| site.requests.open).sum(),
            tunnels_open: open.iter().map(|site| site.tunnels.open).sum(),
            upstreams: Listed::first(status.upstreams).each(|it| {
                [&mut it.site, &mut it.upstream].into_iter().chain(&mut it.error).for_each(cut);
            }),
            strangers: Listed::first(strangers),
            refused_lately: Listed::first(status.handshakes.refused_lately)
                .each(|it| [&mut it.site, &mut it.reason].into_iter().for_each(cut)),
            identities: Listed::first(identities).each(cut_identity),
            ends: Listed::first_of(status.ends, MAX_EXPIRIES)
                .each(|it| [&mut it.site, &mut it.subject, &mut it.file].into_iter().for_each(cut)),
            fleet: status.fleet.map(safe_link),
        }
    }
}

impl<T> Listed<T> {
    fn first(rows: Vec<T>) -> Self {
        Self::first_of(rows, MAX_ROWS)
    }

    /// At most the first `most` rows.
    #[must_use]
    pub fn first_of(mut rows: Vec<T>, most: usize) -> Self {
        let total = rows.len();
        rows.truncate(most);
        Self { rows, total }
    }

    fn each(mut self, change: impl FnMut(&mut T)) -> Self {
        self.rows.iter_mut().for_each(change);
        self
    }
}

impl Listed<String> {
    fn texts(rows: Vec<String>) -> Self {
        let cut = |text: &mut String| *text = SafeText::<MAX_WARNING>::new(text).into_string();
        Self::first(rows).each(cut)
    }
}

fn cut_identity(identity: &mut SeenIdentity) {
    let SeenIdentity { site, subject, issuer, spki_sha256, serial, client_ca, .. } = identity;
    [site, subject, issuer, spki_sha256, serial].into_iter().chain(client_ca).for_each(cut);
}

fn safe_link(mut link: FleetLink) -> FleetLink {
    let FleetLink { error, order, .. } = &mut link;
    let refusal = order.as_mut().and_then(|order| order.error.as_mut());
    error.iter_mut().chain(refusal).for_each(cut);
    link
}

fn cut(text: &mut String) {
    *text = short(text);
}

fn short(text: &str) -> String {
    SafeText::<MAX_FIELD>::new(text).into_string()
}

/// The packets by action and reason, in the order of their names.
fn packet_sums(verdicts: &[VerdictCount]) -> Vec<PacketSum> {
    let mut sums: BTreeMap<(&ActionName, &str), (u64, u64)> = BTreeMap::new();
    for VerdictCount { interface: _, action, reason, packets, bytes } in verdicts {
        let (all, size) = sums.entry((action, reason)).or_default();
        (*all, *size) = (all.saturating_add(*packets), size.saturating_add(*bytes));
    }
    let sum = |((action, reason), (packets, bytes)): ((&ActionName, &str), _)| PacketSum {
        action: action.clone(),
        reason: reason.to_owned(),
        packets,
        bytes,
    };
    sums.into_iter().map(sum).collect()
}

/// The counts by reason, in the order of the names.
fn reason_sums(counts: &[RefusalCount]) -> Vec<ReasonSum> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for RefusalCount { site: _, reason, count } in counts {
        let reason = short(reason);
        let known = sums.len() < MAX_REASONS || sums.contains_key(&reason);
        let sum = sums.entry(if known { reason } else { OTHER.to_owned() }).or_default();
        *sum = sum.saturating_add(*count);
    }
    sums.into_iter().map(|(reason, count)| ReasonSum { reason, count }).collect()
}
