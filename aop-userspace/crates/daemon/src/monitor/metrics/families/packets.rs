//! Families of the firewall: its interfaces, verdicts, modes and prefix list.

use aop_api::Status;
use prometheus_client::registry::Unit;

use super::{super::label_bounds::MOST, MetricFamily, Series, counter, gauge, one, seconds, some};
use crate::metrics_snapshot::{FirewallHealth, MetricsSnapshot};

pub(super) fn families(snapshot: &MetricsSnapshot) -> Vec<MetricFamily> {
    let mut all = list(snapshot);
    if snapshot.firewall == FirewallHealth::Off {
        return all;
    }
    let loaded = snapshot.firewall == FirewallHealth::Readable;
    all.extend(modes(&snapshot.status));
    all.extend(interfaces(&snapshot.status));
    all.extend(verdicts(&snapshot.status));
    all.extend([
        gauge(
            "firewall_loaded",
            "Whether the pinned maps exist and can be read",
            one(loaded.into()),
        ),
        counter(
            "drop_events_lost",
            "Sampled drops that were lost because the reader did not keep up",
            some(snapshot.lost),
        ),
    ]);
    all
}

fn modes(status: &Status) -> [MetricFamily; 3] {
    let enforces = |mode: &str| u64::from(mode == "enforce");
    let ports = status.modes.ports.iter().take(MOST);
    let interfaces = status.modes.interfaces.iter().take(MOST);
    [
        gauge("mode_enforcing", "1 where the general mode is enforce", one(enforces(&status.mode))),
        gauge(
            "port_mode_enforcing",
            "The same, for ports that have a mode of their own",
            ports.map(|own| (vec![("port", own.port.to_string())], enforces(&own.mode))).collect(),
        ),
        gauge(
            "interface_mode_enforcing",
            "The same, for interfaces that have a mode of their own",
            interfaces
                .map(|own| (vec![("interface", own.name.clone())], enforces(&own.mode)))
                .collect(),
        ),
    ]
}

fn interfaces(status: &Status) -> [MetricFamily; 3] {
    let named = |name: &String| ("interface", name.clone());
    let each = |value: fn(&aop_api::InterfaceStatus) -> bool| {
        let series = |it| -> Series {
            let it: &aop_api::InterfaceStatus = it;
            (vec![named(&it.name)], value(it).into())
        };
        status.interfaces.iter().take(MOST).map(series).collect()
    };
    let attach = status.interfaces.iter().take(MOST).filter_map(|interface| {
        let mode = interface.attach.clone()?;
        Some((vec![named(&interface.name), ("mode", mode)], 1))
    });
    [
        gauge(
            "interface_attached",
            "Whether the packet program is attached to it",
            each(|it| it.attached),
        ),
        gauge(
            "interface_enforcing",
            "Whether it is attached, and enforces for every guarded port",
            each(|it| it.enforcing),
        ),
        gauge("interface_attach_mode", "How it is attached: native or generic", attach.collect()),
    ]
}

fn verdicts(status: &Status) -> [MetricFamily; 2] {
    let (mut packets, mut bytes) = (Vec::new(), Vec::new());
    for verdict in &status.verdicts {
        let labels = vec![
            ("interface", verdict.interface.clone()),
            ("action", verdict.action.clone()),
            ("reason", verdict.reason.clone()),
        ];
        packets.push((labels.clone(), verdict.packets));
        bytes.push((labels, verdict.bytes));
    }
    [
        counter("packets", "Judged packets; action is pass, drop or would_drop", packets),
        counter("packet", "Bytes of their whole frames", bytes).with_unit(Unit::Bytes),
    ]
}

fn list(snapshot: &MetricsSnapshot) -> Vec<MetricFamily> {
    let list = &snapshot.status.prefixes;
    let family = |name: &str, count: usize| (vec![("family", name.to_owned())], count as u64);
    let at = |time: Option<jiff::Timestamp>| some(time.and_then(seconds));
    vec![
        gauge(
            "prefixes",
            "Admitted prefixes, the operator's extra ones included",
            vec![family("ipv4", list.v4), family("ipv6", list.v6)],
        ),
        gauge(
            "prefixes_draining",
            "Prefixes that left the list and still admit their authenticated peers",
            one(list.draining as u64),
        ),
        gauge(
            "prefixes_generation",
            "Number of the list in force; each applied list increments it",
            some((snapshot.firewall == FirewallHealth::Readable).then_some(list.generation.into())),
        ),
        gauge("list_age", "Time since the source last confirmed the list", some(list.age_seconds))
            .with_unit(Unit::Seconds),
        gauge(
            "list_confirmed_timestamp",
            "When the source last confirmed the list",
            at(snapshot.confirmed),
        )
        .with_unit(Unit::Seconds),
        gauge(
            "list_refresh_refused_timestamp",
            "When a refresh was last refused, since the daemon became ready",
            at(snapshot.refused),
        )
        .with_unit(Unit::Seconds),
        gauge(
            "list_refresh_failing",
            "Whether the last refresh was refused",
            one(list.last_error.is_some().into()),
        ),
        gauge(
            "list_refresh_interval",
            "How often the list is fetched, where it is fetched",
            some(snapshot.refresh.map(|refresh| refresh.as_secs())),
        )
        .with_unit(Unit::Seconds),
    ]
}
