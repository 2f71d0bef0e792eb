//! Whether the prefix list of the CDN is current.

use aop_api::{PrefixStatus, VisitorError};

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, untried, wrong},
};

const REFRESH: &str =
    "`aop prefixes refresh` shows why it fails; this host must reach the source over HTTPS";

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let PrefixStatus { source, origin, v4, v6, age_seconds, last_error, .. } =
        &host.status.prefixes;
    if v4 + v6 == 0 {
        return vec![wrong(
            "list",
            "no prefix is admitted: every packet would be dropped",
            VisitorError::Silence,
            REFRESH,
        )];
    }
    if !host.has_daemon() {
        return vec![untried("list", "aop does not answer, so the age of the list is unknown")];
    }
    let source = source.as_deref().unwrap_or("its source");
    let stale = host.config.as_ref().and_then(|config| config.live.stale_after());
    let age = age_seconds.map(|age| format!("{source} confirmed it {} h ago", age / 3600));
    let finding = if *origin == Some(aop_api::ListOriginName::Nowhere) {
        wrong(
            "list",
            "the list was never fetched: only firewall.extra is admitted",
            VisitorError::Silence,
            REFRESH,
        )
    } else if stale.zip(*age_seconds).is_some_and(|(stale, age)| age > stale.as_secs()) {
        wrong(
            "list",
            "the list is old: packets from edges in newer prefixes would be dropped",
            VisitorError::Silence,
            REFRESH,
        )
    } else if last_error.is_some() {
        notice("list", "the last refresh failed, so the old list stays in force").cure(REFRESH)
    } else {
        good("list", "the list is current").seen(format!("{v4} IPv4 and {v6} IPv6 prefixes"))
    };
    vec![finding.seen_all(age.into_iter().chain(last_error.clone()))]
}
