//! Ports of listeners that another program holds. A start then fails, and with it every pull.

use std::net::SocketAddr;

use aop_api::VisitorError;

use super::Start;
use crate::doctor::{
    finding::{CheckFinding, wrong},
    procfs::{Socket, SocketOwners},
};

pub(super) fn check(start: &Start<'_>) -> Vec<CheckFinding> {
    let Some(own) = &start.own else { return Vec::new() };
    let foreign = |socket: &&Socket| !own.contains(&socket.inode);
    let foreign: Vec<&Socket> = start.sockets.listening.iter().filter(foreign).collect();
    let listeners = &start.config.fixed.listeners;
    let held: Vec<(SocketAddr, &Socket)> = listeners
        .iter()
        .filter_map(|it| Some((*it, *foreign.iter().find(|other| excludes(other.local, *it))?)))
        .collect();
    let owners = SocketOwners::find(held.iter().map(|(_, socket)| socket.inode));
    // Without privilege the holder is unknown, and may be aop.
    let known = held.iter().filter_map(|(at, socket)| Some((at, owners.name(socket.inode)?)));
    known.map(|(listener, owner)| finding(*listener, owner)).collect()
}

fn finding(listener: SocketAddr, owner: &str) -> CheckFinding {
    let port = listener.port();
    wrong(
        "port_held",
        format!("{owner} has port {port}, on which aop is to listen: aop cannot start"),
        VisitorError::Refused,
        format!(
            "take the port from {owner} (`ss -ltnp 'sport = :{port}'` shows its process), then \
             `systemctl restart aop` at once"
        ),
    )
    .about(listener)
}

/// Whether the kernel refuses to bind `listener` while a socket listens at `other`.
fn excludes(other: SocketAddr, listener: SocketAddr) -> bool {
    let (one, two) = (other.ip(), listener.ip());
    other.port() == listener.port()
        && one.is_ipv4() == two.is_ipv4()
        && (one == two || one.is_unspecified() || two.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_held_at_the_same_address_and_by_wildcards_of_the_same_family() {
        let excludes = |other: &str, listener: &str| {
            excludes(other.parse().expect("one"), listener.parse().expect("one"))
        };
        assert!(excludes("0.0.0.0:443", "0.0.0.0:443") && excludes("[::]:443", "[::]:443"));
        assert!(excludes("127.0.0.1:443", "0.0.0.0:443"));
        assert!(excludes("0.0.0.0:443", "203.0.113.10:443"));
        assert!(!excludes("127.0.0.1:443", "203.0.113.10:443"));
        assert!(!excludes("[::]:443", "0.0.0.0:443") && !excludes("0.0.0.0:80", "0.0.0.0:443"));
    }
}
