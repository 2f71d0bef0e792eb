//! Interfaces that are up and not filtered, whether or not they have an address: the kernel takes a
//! packet for an address of this host from any interface. The classic cases are a tunnel, of which
//! the packet program sees only the outer packet, and a spare card.

use aop_api::VisitorError;
use aop_firewall::{HostInterface, LinkKind};

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, notice, wrong},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    if host.reading.is_none() {
        return Vec::new();
    }
    let unfiltered = host.interfaces.iter().filter(|it| host.is_unfiltered(it));
    let (tunnels, others): (Vec<_>, Vec<_>) =
        unfiltered.partition(|it| it.kind == LinkKind::Tunnel);
    let mut found: Vec<CheckFinding> = tunnels.into_iter().map(tunnel).collect();
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

fn tunnel(interface: &HostInterface) -> CheckFinding {
    let name = &interface.name;
    let said = "this tunnel is up, and what it unpacks is not filtered: a stranger who packs \
                packets for this host into it reaches TLS";
    let unused = format!("`ip link set {name} down` if nothing uses it");
    // XDP needs an Ethernet header.
    let used = if interface.ethernet {
        format!("else add \"{name}\" to firewall.interfaces, then `aop reload`")
    } else {
        format!(
            "else drop new TCP connections to the guarded ports on it (`nft add rule inet filter \
             input iifname {name} tcp dport 443 drop`)"
        )
    };
    wrong("unfiltered", said, VisitorError::Nothing, format!("{unused}; {used}")).about(name)
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
