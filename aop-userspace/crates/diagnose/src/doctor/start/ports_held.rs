//! Ports of listeners that another program holds. A start then fails, and with it every pull.

use std::net::SocketAddr;

use aop_api::VisitorError;

use super::Start;
use crate::doctor::{
    finding::{CheckFinding, notice, wrong},
    procfs::{Socket, SocketOwners},
};

/// Whether a socket of another program keeps aop from a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    /// It may: an IPv6 socket takes IPv4 too without IPV6_V6ONLY, which the kernel does not show.
    Possible,
    Certain,
}

pub(super) fn check(start: &Start<'_>) -> Vec<CheckFinding> {
    let Some(own) = &start.own else { return Vec::new() };
    let is_own = |socket: &&Socket| own.contains(&socket.inode);
    let (own, foreign): (Vec<&Socket>, Vec<&Socket>) =
        start.sockets.listening.iter().partition(is_own);
    let listeners = start.config.fixed.listeners.iter();
    let held: Vec<(SocketAddr, &Socket, Hold)> = listeners
        .filter_map(|it| holder(*it, &own, &foreign).map(|(socket, hold)| (*it, socket, hold)))
        .collect();
    let owners = SocketOwners::find(held.iter().map(|(_, socket, _)| socket.inode));
    // Without privilege the holder is unknown, and may be aop.
    let known = held.iter().filter_map(|(listener, socket, hold)| {
        Some(finding(*listener, owners.name(socket.inode)?, *hold))
    });
    known.collect()
}

fn finding(listener: SocketAddr, owner: &str, hold: Hold) -> CheckFinding {
    let port = listener.port();
    let shows = format!("`ss -ltnp 'sport = :{port}'`");
    let finding = match hold {
        Hold::Certain => wrong(
            "port_held",
            format!("{owner} has port {port}, on which aop is to listen: aop cannot start"),
            VisitorError::Refused,
            format!(
                "take the port from {owner} ({shows} shows its process), then `systemctl restart \
                 aop` at once"
            ),
        ),
        Hold::Possible => notice(
            "port_held",
            format!(
                "{owner} has port {port} for IPv6, and may also take it for IPv4, on which aop is \
                 to listen: then aop cannot start"
            ),
        )
        .cure(format!(
            "{shows} shows `*:{port}` if it takes both: then take the port from {owner}; nothing \
             if it shows `[::]:{port}`"
        )),
    };
    finding.about(listener)
}

/// The socket of `foreign` that keeps aop from `listener`. A socket of aop that has the listener
/// already proves that none does so.
fn holder<'a>(
    listener: SocketAddr,
    own: &[&Socket],
    foreign: &[&'a Socket],
) -> Option<(&'a Socket, Hold)> {
    let has_it = own.iter().any(|socket| socket.local == listener);
    let holds = foreign.iter().filter_map(|it| Some((*it, hold(it.local, listener)?)));
    let holds = holds.filter(|(_, hold)| *hold == Hold::Certain || !has_it);
    holds.max_by_key(|(_, hold)| *hold)
}

/// Whether the kernel refuses to bind `listener` while a socket listens at `other`.
fn hold(other: SocketAddr, listener: SocketAddr) -> Option<Hold> {
    let (one, two) = (other.ip(), listener.ip());
    if other.port() != listener.port() {
        return None;
    }
    if one.is_ipv4() != two.is_ipv4() {
        // aop's own IPv6 listeners take no IPv4.
        return (one.is_ipv6() && one.is_unspecified()).then_some(Hold::Possible);
    }
    (one == two || one.is_unspecified() || two.is_unspecified()).then_some(Hold::Certain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("an address and a port")
    }

    #[test]
    fn a_port_is_held_at_the_same_address_and_by_wildcards_and_perhaps_by_that_of_ipv6() {
        let hold = |other: &str, listener: &str| hold(at(other), at(listener));
        for (other, listener) in [
            ("0.0.0.0:443", "0.0.0.0:443"),
            ("[::]:443", "[::]:443"),
            ("127.0.0.1:443", "0.0.0.0:443"),
            ("0.0.0.0:443", "203.0.113.10:443"),
        ] {
            assert_eq!(hold(other, listener), Some(Hold::Certain), "{other}, {listener}");
        }
        for listener in ["0.0.0.0:443", "203.0.113.10:443"] {
            assert_eq!(hold("[::]:443", listener), Some(Hold::Possible), "{listener}");
        }
        for (other, listener) in [
            ("127.0.0.1:443", "203.0.113.10:443"),
            ("0.0.0.0:443", "[::]:443"),
            ("[::1]:443", "0.0.0.0:443"),
            ("0.0.0.0:80", "0.0.0.0:443"),
            ("[::]:80", "0.0.0.0:443"),
        ] {
            assert_eq!(hold(other, listener), None, "{other}, {listener}");
        }
    }

    #[test]
    fn a_doubt_ends_where_aop_has_the_port_or_another_socket_certainly_has_it() {
        let socket = |local, inode| Socket { local: at(local), remote: at("0.0.0.0:0"), inode };
        let (six, four) = (socket("[::]:443", 1), socket("0.0.0.0:443", 2));
        let listener = at("0.0.0.0:443");
        assert_eq!(holder(listener, &[], &[&six]), Some((&six, Hold::Possible)));
        assert_eq!(holder(listener, &[], &[&four, &six]), Some((&four, Hold::Certain)));
        assert_eq!(holder(listener, &[&four], &[&six]), None);
    }
}
