//! The report of the terminator, with the names of the status document.

use std::{collections::BTreeMap, sync::Arc};

use aop_api::{
    Handshakes, LastObserved, OpenRequestsReport, RefusalCount, RefusedPeer, Requests,
    SlotUsageReport, UpstreamReport, peer_list, terminator::TerminatorSnapshot, timestamp,
};
use aop_config::ReloadableConfig;
use aop_terminator::{CountersSnapshot, ObservedCount, OpenRequests, RefusedCount, SlotUsage};
use aop_types::PeerEntry;

use super::seen_identities;

pub(super) fn report(
    counters: CountersSnapshot,
    open: BTreeMap<Arc<str>, OpenRequests>,
    peers: &[PeerEntry],
    live: &ReloadableConfig,
    upstreams: Vec<UpstreamReport>,
) -> TerminatorSnapshot {
    let sites = live.site_names();
    let identities = seen_identities::to_document(&counters, &sites);
    let refused = |count: fn(&RefusedCount) -> u64| {
        let counts = counters.refused.iter().map(|refused| RefusalCount {
            site: refused.site.to_string(),
            reason: refused.refusal.name().to_owned(),
            count: count(refused),
        });
        counts.filter(|refused| refused.count > 0).collect()
    };
    let recent = |refused: &aop_terminator::RecentRefusal| RefusedPeer {
        address: refused.address,
        admitted_by: None,
        site: refused.site.to_string(),
        reason: refused.refusal.name().to_owned(),
        count: refused.count,
        last_seen: timestamp(refused.last_seen),
    };
    let observed = |count: fn(&ObservedCount) -> u64| {
        let counts = counters.observed.iter().map(|observed| RefusalCount {
            site: observed.site.to_string(),
            reason: observed.refusal.name().to_owned(),
            count: count(observed),
        });
        counts.filter(|observed| observed.count > 0).collect()
    };
    let last_observed = counters.last_observed.iter().map(|last| LastObserved {
        site: last.site.to_string(),
        reason: last.refusal.name().to_owned(),
        address: last.address,
        presented: last.presented.clone(),
        at: timestamp(last.at),
    });
    let handshakes = Handshakes {
        accepted: counters.accepted,
        would_refuse: counters.would_refuse,
        refused: refused(|refused| refused.count),
        refused_from_admitted: refused(|refused| refused.from_admitted),
        refused_from_this_host: refused(|refused| refused.from_this_host),
        refused_lately: counters.refused_lately.iter().map(recent).collect(),
        observed: observed(|observed| observed.count),
        observed_from_admitted: observed(|observed| observed.from_admitted),
        observed_lately: observed(|observed| observed.lately),
        last_observed: last_observed.collect(),
    };
    let denied = counters.denied.into_iter().map(|denied| RefusalCount {
        site: denied.site.to_string(),
        reason: denied.denial.name().to_owned(),
        count: denied.count,
    });
    let retired = counters.retired.into_iter().map(|retired| RefusalCount {
        site: retired.site.to_string(),
        reason: retired.limit.name().to_owned(),
        count: retired.count,
    });
    let usage = |usage: SlotUsage| SlotUsageReport { open: usage.open, limit: usage.limit };
    let open = open.into_iter().map(|(site, open)| OpenRequestsReport {
        site: site.to_string(),
        requests: usage(open.requests),
        tunnels: usage(open.tunnels),
    });
    let requests = Requests {
        relayed: counters.relayed,
        refused: denied.collect(),
        retired: retired.collect(),
        open: open.collect(),
    };
    TerminatorSnapshot {
        open: counters.open,
        served: counters.served.iter().map(|(site, count)| (site.to_string(), *count)).collect(),
        handshakes,
        requests,
        upstreams,
        identities,
        peers: peer_list(peers, &sites),
        peers_total: peers.len(),
    }
}
