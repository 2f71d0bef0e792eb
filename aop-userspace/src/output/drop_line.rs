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
