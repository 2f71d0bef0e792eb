//! One dropped packet, as `aop drops` prints it for people.

use std::net::IpAddr;

use aop_firewall::DroppedPacket;

pub(crate) fn drop_line(drop: &DroppedPacket) -> String {
    let address = |address: Option<IpAddr>| address.map_or("?".to_owned(), |it| it.to_string());
    let port = drop.port.map_or("?".to_owned(), |port| port.to_string());
    let (source, destination) = (address(drop.source), address(drop.destination));
    let answer =
        if drop.answer { ", looks like an answer to a connection of this host" } else { "" };
    format!(
        "{} {:<10} {:<15} {source} → {destination} port {port}, {}, {} bytes, {}{answer}",
        drop.at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"),
        drop.action.name(),
        drop.reason,
        drop.interface,
        drop.length,
        drop.headers.join(" > ")
    )
}

/// A packet to port 443 that was dropped this many seconds after 1970, for tests.
#[cfg(test)]
pub(crate) fn dropped_packet(source: Option<IpAddr>, second: i64) -> DroppedPacket {
    DroppedPacket {
        at: jiff::Timestamp::from_second(second).expect("a moment"),
        interface: "eth0".into(),
        action: aop_common::Action::Drop,
        reason: "unknown_source",
        source,
        destination: None,
        port: Some(443),
        length: 60,
        headers: Vec::new(),
        answer: false,
    }
}
