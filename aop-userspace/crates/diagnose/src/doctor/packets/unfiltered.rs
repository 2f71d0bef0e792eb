//! Interfaces that are up and not filtered, whether or not they have an address: the kernel takes a
//! packet for an address of this host from any interface. The classic cases are a tunnel, of which
//! the packet program sees only the outer packet, and a spare card.

use std::{collections::BTreeSet, net::SocketAddr};

use aop_api::VisitorError;
use aop_firewall::{HostInterface, LinkKind};

use crate::{
    doctor::{
        HostContext,
        finding::{CheckFinding, good, notice, wrong},
    },
    netfilter::{Packet, Ruleset, Verdict},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    if host.reading.is_none() {
        return Vec::new();
    }
    let unfiltered = host.interfaces.iter().filter(|it| host.is_unfiltered(it));
    let (tunnels, others): (Vec<_>, Vec<_>) =
        unfiltered.partition(|it| it.kind == LinkKind::Tunnel);
    let rules = if tunnels.is_empty() { None } else { Ruleset::read() };
    let mut found: Vec<CheckFinding> =
        tunnels.into_iter().map(|it| tunnel(host, it, rules.as_ref())).collect();
    let others: Vec<_> = others.into_iter().filter(|it| !exposes(host, it)).collect();
    if !others.is_empty() {
        let said = "these interfaces are up and not filtered: any host behind them reaches TLS at \
                    every address of this host";
        let cure = "nothing if only your own containers, machines and VPN are behind them; else \
                    add the interface to firewall.interfaces, or set it down (`ip link set NAME \
                    down`)";
        found
            .push(notice("unfiltered", said).seen_all(others.into_iter().map(describe)).cure(cure));
    }
    found
}

/// Whether a guarded port answers at an address of the interface: the finding `exposed` says so.
fn exposes(host: &HostContext, interface: &HostInterface) -> bool {
    let guarded = host.sockets.listening.iter().filter(|it| host.guards(it.local.port()));
    guarded.flat_map(|it| host.reached_by(it.local)).any(|(it, _)| it.index == interface.index)
}

fn tunnel(host: &HostContext, interface: &HostInterface, rules: Option<&Ruleset>) -> CheckFinding {
    let open = open_to_guarded(host);
    let closes = |rules: &Ruleset| drops_all(rules, &interface.name, &open);
    let finding = if rules.is_some_and(closes) {
        good(
            "unfiltered",
            "the host's packet filter drops connections through this tunnel to each guarded port \
             at which something listens",
        )
    } else {
        let said = "this tunnel is up, and what it unpacks is not filtered: a stranger who packs \
                    packets for this host into it reaches TLS";
        wrong("unfiltered", said, VisitorError::Nothing, cure(interface, &host.guarded_ports()))
    };
    finding.about(&interface.name)
}

fn cure(interface: &HostInterface, guarded: &[u16]) -> String {
    let name = &interface.name;
    let unused = format!("`ip link set {name} down` if nothing uses it");
    // XDP needs an Ethernet header.
    if interface.ethernet {
        return format!("{unused}; else add \"{name}\" to firewall.interfaces, then `aop reload`");
    }
    let ports = ranges(guarded);
    format!(
        "{unused}; else drop its connections to the guarded ports: put the rule `iifname \
         \"{name}\" tcp dport {{ {ports} }} drop` first into an input chain of nftables"
    )
}

/// The guarded ports at the addresses of this host at which something listens.
fn open_to_guarded(host: &HostContext) -> Vec<SocketAddr> {
    let ports: BTreeSet<u16> = host.sockets.listening.iter().map(|it| it.local.port()).collect();
    let guarded = ports.into_iter().filter(|port| host.guards(*port));
    let addresses = || {
        let up = host.interfaces.iter().filter(|it| it.up && !it.loopback);
        up.flat_map(|it| &it.addresses)
    };
    let at = guarded.flat_map(|port| addresses().map(move |at| SocketAddr::new(*at, port)));
    at.filter(|at| !host.sockets.accepting(*at).is_empty()).collect()
}

/// Whether the filters drop a stranger's packet that arrives on `interface` for any of `open`. Not
/// so if there is none: nothing is known then.
fn drops_all(rules: &Ruleset, interface: &str, open: &[SocketAddr]) -> bool {
    let packet = |at: &SocketAddr| Packet::of_stranger(interface, at.ip(), at.port());
    let is_dropped = |at| matches!(rules.verdict(&packet(at)), Verdict::Dropped(_));
    !open.is_empty() && open.iter().all(is_dropped)
}

/// Ascending ports as nft writes them: `443, 8000-8010`.
fn ranges(ports: &[u16]) -> String {
    let follows = |one: &u16, next: &u16| one.checked_add(1) == Some(*next);
    let texts = ports.chunk_by(follows).filter_map(|run| match run {
        [] => None,
        [port] => Some(port.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn describe(interface: &HostInterface) -> String {
    let HostInterface { name, ethernet, kind, addresses, .. } = interface;
    let what = match kind {
        _ if !ethernet => "has no Ethernet frames, so it cannot be guarded",
        LinkKind::Veth | LinkKind::Tap => "to a container or a virtual machine",
        LinkKind::Bridge => "a bridge",
        LinkKind::Internal | LinkKind::Tunnel | LinkKind::Other => "an Ethernet interface",
    };
    match addresses.is_empty() {
        true => format!("{name}: {what}, without an address"),
        false => format!("{name}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_closed_if_every_open_guarded_port_is() {
        let open: Vec<SocketAddr> = ["203.0.113.10:443", "203.0.113.10:8443"]
            .iter()
            .map(|at| at.parse().expect("an address"))
            .collect();
        let drops = |rule: &str| {
            let text = format!("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {rule}\nCOMMIT\n");
            drops_all(&Ruleset::of_iptables(&text), "sit1", &open)
        };
        assert!(drops("-i sit1 -p tcp -m multiport --dports 443,8443 -j DROP"));
        assert!(!drops("-i sit1 -p tcp -m tcp --dport 443 -j DROP"));
        assert!(!drops("-i sit2 -p tcp -m multiport --dports 443,8443 -j DROP"));
        assert!(!drops_all(&Ruleset::of_iptables("*filter\n:INPUT DROP [0:0]\n"), "sit1", &[]));
    }

    #[test]
    fn the_cure_names_the_guarded_ports() {
        let tunnel = HostInterface {
            name: "sit1".into(),
            index: 2,
            up: true,
            ethernet: false,
            loopback: false,
            kind: LinkKind::Tunnel,
            parent: None,
            controller: None,
            program: None,
            addresses: Vec::new(),
        };
        let cure = cure(&tunnel, &[443, 8000, 8001, 8002, u16::MAX]);
        let rule = "`iifname \"sit1\" tcp dport { 443, 8000-8002, 65535 } drop`";
        assert!(cure.contains(rule), "{cure}");
    }
}
