//! The host's own packet filter, behind aop: whether it closes a guarded port, sends it elsewhere,
//! sends another port there, or gives it to outgoing connections as their source.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use aop_api::VisitorError;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, untried, wrong},
    netfilter::{Packet, Ruleset, Verdict},
};

/// The most packets that are listed.
const MAX_EVIDENCE: usize = 6;
/// Address translation gives a connection a port from here on, if its own is one of these.
const FIRST_TRANSLATED: u16 = 1024;
/// The kernel's default for ip_local_port_range. A container has a setting of its own.
const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    if host.reading.is_none() {
        return Vec::new();
    }
    let Some(rules) = Ruleset::read() else {
        return vec![untried("packet_filter", "neither `nft` nor `iptables-save` lists the rules")];
    };
    let found = guarded_ports(host, &rules).into_iter();
    let found = found.chain(other_ports(host, &rules)).chain(source_ports(host, &rules));
    let found: Vec<CheckFinding> = found.collect();
    match found.is_empty() {
        true => vec![good("packet_filter", "no packet filter of this host is in the way of aop")],
        false => found,
    }
}

/// Guarded ports that are closed, or sent elsewhere.
fn guarded_ports(host: &HostContext, rules: &Ruleset) -> Vec<CheckFinding> {
    let mut found = Vec::new();
    for port in host.guarded_ports() {
        let packets: Vec<Packet> = from_edge(host, port);
        let mut closed: Vec<String> = Vec::new();
        for packet in &packets {
            match (rules.redirect(packet), rules.verdict(packet)) {
                (Some(to), _) if to.port == Some(port) && is_own(host, to.address) => {}
                (Some(to), _) => {
                    // Without a listener of aop the port is for a container, say.
                    if has_listener(host, port) {
                        let to = describe(to.address, to.port);
                        found.push(sent_elsewhere(port, &to));
                    }
                }
                (None, Verdict::Dropped(by)) => {
                    let Packet { interface, source, destination, .. } = packet;
                    closed.push(format!("{by}: from {source} to {destination} on {interface}"));
                }
                (None, Verdict::Passes) => {}
            }
        }
        if !closed.is_empty() {
            let everywhere = closed.len() == packets.len();
            closed.truncate(MAX_EVIDENCE);
            found.push(is_closed(port, everywhere).seen_all(closed));
        }
    }
    found.dedup_by(|one, other| one.about == other.about);
    found
}

fn is_closed(port: u16, everywhere: bool) -> CheckFinding {
    let cure = format!(
        "open the port (`ufw allow {port}/tcp`, or in nftables `tcp dport {port} accept`): aop \
         filters before it"
    );
    let finding = if everywhere {
        wrong(
            "port_closed",
            "the host's packet filter drops the CDN's packets to this port, behind aop",
            VisitorError::Silence,
            cure,
        )
    } else {
        let said = "the host's packet filter drops packets of some admitted networks to this port";
        notice("port_closed", said).cure(cure)
    };
    finding.about(port)
}

fn sent_elsewhere(port: u16, to: &str) -> CheckFinding {
    wrong(
        "port_redirected",
        format!("address translation sends this port to {to}: aop's listener gets no connection"),
        VisitorError::BadGateway,
        "remove that rule (`nft list ruleset`, `iptables-save`; Docker: do not publish the port)",
    )
    .about(port)
}

/// Other ports that are sent to a guarded one. aop sees the packets before that, and passes them.
fn other_ports(host: &HostContext, rules: &Ruleset) -> Vec<CheckFinding> {
    let mut found = Vec::new();
    for port in rules.named_ports().into_iter().filter(|port| !host.guards(*port)) {
        let to = from_stranger(host, port).iter().find_map(|packet| rules.redirect(packet));
        let guarded = to.filter(|to| is_own(host, to.address)).and_then(|to| to.port);
        let Some(guarded) = guarded.filter(|guarded| host.guards(*guarded)) else { continue };
        let finding = wrong(
            "redirect_to_port",
            format!(
                "address translation sends this port to the guarded port {guarded}, behind the \
                 filter: everybody reaches TLS"
            ),
            VisitorError::Nothing,
            format!("add {port} to firewall.ports, then `aop reload`; or remove that rule"),
        );
        found.push(finding.about(port));
    }
    found
}

/// Guarded ports that address translation may give to an outgoing connection. aop drops the
/// answers.
fn source_ports(host: &HostContext, rules: &Ruleset) -> Vec<CheckFinding> {
    let sources = rules.source_ports();
    let finding = |port: u16| {
        let in_range =
            |range: Option<(u16, u16)>| range.is_none_or(|(from, to)| (from..=to).contains(&port));
        let mut given = sources.iter().filter(|it| in_range(it.range)).peekable();
        given.peek()?;
        let next = port.saturating_add(1);
        let cure = format!(
            "guard a port below {FIRST_TRANSLATED} instead, or give the rule other ports: \
             `masquerade to :{next}-65535` (iptables: `-p tcp -j MASQUERADE --to-ports \
             {next}-65535`)"
        );
        let said = "address translation gives this guarded port to";
        // The kernel keeps the port of a connection if the rule allows that and no other has it.
        let keeps = |range: Option<(u16, u16)>| {
            range.is_none_or(|(from, to)| from <= *EPHEMERAL.start() && *EPHEMERAL.end() <= to)
        };
        let often = EPHEMERAL.contains(&port) || given.any(|it| it.random || !keeps(it.range));
        let finding = if often {
            let said = format!("{said} connections of containers: aop drops their answers");
            wrong("nat_source_port", said, VisitorError::Nothing, cure)
        } else {
            let said = format!(
                "{said} a connection of a container whose own port is taken: aop drops its answers"
            );
            notice("nat_source_port", said).cure(cure)
        };
        Some(finding.about(port))
    };
    let ports = host.guarded_ports().into_iter().filter(|port| *port >= FIRST_TRANSLATED);
    ports.filter_map(finding).collect()
}

/// The first packets from each admitted network to every filtered address at which something
/// listens.
fn from_edge(host: &HostContext, port: u16) -> Vec<Packet> {
    let admission = host.reading.iter().flat_map(|reading| reading.admission.admitted_prefixes());
    let edges: Vec<IpAddr> = admission.map(|prefix| prefix.addr()).collect();
    let open = |packet: &Packet| {
        let to = (packet.destination, packet.port).into();
        !host.sockets.accepting(to).is_empty()
    };
    packets(host, port, &edges).into_iter().filter(open).collect()
}

fn from_stranger(host: &HostContext, port: u16) -> Vec<Packet> {
    // Of the documentation prefixes: no rule names them.
    let v4 = Ipv4Addr::new(192, 0, 2, 1);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    packets(host, port, &[v4.into(), v6.into()])
}

/// The first packets from each of `sources` to each filtered address of the same family.
fn packets(host: &HostContext, port: u16, sources: &[IpAddr]) -> Vec<Packet> {
    let filtered = host.interfaces.iter().filter(|it| it.up && host.is_guarded(it));
    let at = filtered.flat_map(|it| it.addresses.iter().map(move |at| (&it.name, *at)));
    at.flat_map(|(interface, destination)| {
        let sources = sources.iter().filter(move |it| it.is_ipv4() == destination.is_ipv4());
        let interface = interface.clone();
        sources.map(move |source| Packet {
            interface: interface.clone(),
            source: *source,
            destination,
            port,
        })
    })
    .collect()
}

/// Whether the address is one of this host; `None` is.
fn is_own(host: &HostContext, address: Option<IpAddr>) -> bool {
    address.is_none_or(|address| {
        address.is_loopback() || host.interfaces.iter().any(|it| it.addresses.contains(&address))
    })
}

fn has_listener(host: &HostContext, port: u16) -> bool {
    let listeners = host.config.iter().flat_map(|config| &config.fixed.listeners);
    listeners.into_iter().any(|listener| listener.port() == port)
}

fn describe(address: Option<IpAddr>, port: Option<u16>) -> String {
    let port = port.map_or(String::new(), |port| format!("port {port}"));
    match address {
        None => format!("{port} of this host"),
        Some(address) => format!("{port} of {address}"),
    }
}
