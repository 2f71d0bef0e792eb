//! The preflight for the sources that no prefix admits: which of them enforcing would cut off.

use std::collections::BTreeSet;

use aop_api::{ActionName, StrangerKind, StrangerStatus, StrangersReport};
use jiff::Timestamp;

use super::{RECENT, list_named};

/// A source of fewer packets is not named: most are scanners, which come and go.
const MANY_PACKETS: u64 = 100;

/// The sources that sent to one of `ports` recently (none: to any port), that pass because of the
/// mode alone, and that no prefix admits by now.
pub(super) fn cut_off(
    report: StrangersReport,
    ports: &[u16],
    now: Timestamp,
) -> Vec<StrangerStatus> {
    let concerns = |port: Option<u16>| {
        // The port of a fragment is unknown: it is dropped as soon as any port enforces.
        ports.is_empty() || port.is_none_or(|port| ports.contains(&port))
    };
    let mut sources = report.since(RECENT, now).sources;
    sources.retain(|it| {
        concerns(it.port) && it.action == ActionName::WouldDrop && it.admitted_by.is_none()
    });
    sources
}

/// The reason not to drop those of which something is known.
pub(super) fn reason(sources: &[StrangerStatus]) -> Option<String> {
    let known = sources.iter().filter_map(|it| match &it.known {
        Some(kind @ (StrangerKind::Cdn | StrangerKind::Private | StrangerKind::Regular)) => {
            Some(format!("{} ({})", it.source, kind.meaning()))
        }
        // An authenticated peer is a reason of its own.
        Some(StrangerKind::Authenticated | StrangerKind::Draining | StrangerKind::Unknown(_))
        | None => None,
    });
    let known: BTreeSet<String> = known.collect();
    if known.is_empty() {
        return None;
    }
    Some(format!(
        "{} came within the last 24 hours, and no prefix admits them: they would be dropped (see \
         `aop strangers`; add yours to firewall.extra)",
        list_named(&known)
    ))
}

/// Those of which nothing but many packets is known.
pub(super) fn busy(mut sources: Vec<StrangerStatus>) -> Vec<StrangerStatus> {
    sources.retain(|it| it.known.is_none() && it.packets >= MANY_PACKETS);
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    fn source(source: &str, known: Option<StrangerKind>) -> StrangerStatus {
        StrangerStatus {
            source: source.to_owned(),
            port: Some(443),
            packets: 10,
            connections: 1,
            addresses: 1,
            first_seen: at(0),
            last_seen: at(24 * 3600),
            action: ActionName::WouldDrop,
            reason: "unknown_source".to_owned(),
            every_seconds: None,
            admitted_by: None,
            known,
        }
    }

    fn left(sources: Vec<StrangerStatus>, ports: &[u16]) -> Vec<String> {
        let report = StrangersReport { sources, ..StrangersReport::default() };
        let left = cut_off(report, ports, at(2 * 24 * 3600));
        left.into_iter().map(|it| it.source).collect()
    }

    #[test]
    fn a_source_counts_if_it_came_lately_to_a_port_that_begins_to_enforce() {
        let before = || source("192.0.2.1", None);
        assert_eq!(left(vec![before()], &[]), ["192.0.2.1"]);
        assert_eq!(left(vec![before()], &[8443, 443]), ["192.0.2.1"]);
        assert_eq!(left(vec![StrangerStatus { port: None, ..before() }], &[8443]), ["192.0.2.1"]);
        let nothing = Vec::<String>::new();
        assert_eq!(left(vec![before()], &[8443]), nothing);
        let old = StrangerStatus { last_seen: at(24 * 3600 - 1), ..before() };
        let dropped = StrangerStatus { action: ActionName::Drop, ..before() };
        let by = Some(aop_api::AdmissionSource::Extra);
        let admitted = StrangerStatus { admitted_by: by, ..before() };
        assert_eq!(left(vec![old, dropped, admitted], &[]), nothing);
    }

    #[test]
    fn known_sources_are_a_reason_with_their_kind_and_each_once() {
        assert_eq!(reason(&[source("192.0.2.1", None)]), None);
        let draining = source("192.0.2.2", Some(StrangerKind::Draining));
        assert_eq!(reason(&[draining, source("::1", Some(StrangerKind::Authenticated))]), None);
        let private = source("10.0.0.1", Some(StrangerKind::Private));
        let other_port = StrangerStatus { port: Some(8443), ..private.clone() };
        let monitor = source("192.0.2.3", Some(StrangerKind::Regular));
        let edge = source("192.0.2.4", Some(StrangerKind::Cdn));
        let found = reason(&[private, other_port, monitor, edge]).expect("a reason");
        let begin = "10.0.0.1 (a private address), 192.0.2.3 (at regular intervals, as from a \
                     monitor), 192.0.2.4 (in Cloudflare's published list, but not in yours) came";
        assert!(found.starts_with(begin), "{found}");
        let many: Vec<_> =
            (0..9).map(|n| source(&format!("10.0.0.{n}"), Some(StrangerKind::Private))).collect();
        let found = reason(&many).expect("a reason");
        assert!(found.contains("10.0.0.4 (a private address) and 4 more came"), "{found}");
    }

    #[test]
    fn unknown_sources_of_many_packets_are_busy() {
        let many = |it| StrangerStatus { packets: MANY_PACKETS, ..it };
        let found = busy(vec![
            many(source("192.0.2.1", None)),
            source("192.0.2.2", None),
            many(source("10.0.0.1", Some(StrangerKind::Private))),
        ]);
        assert_eq!(found, [many(source("192.0.2.1", None))]);
    }
}
