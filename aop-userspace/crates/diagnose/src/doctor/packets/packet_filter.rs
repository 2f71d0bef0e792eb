//! The host's own packet filter, behind aop: whether it closes a guarded port, sends it elsewhere,
//! sends another port there, or gives it to outgoing connections as their source.

use std::{collections::BTreeSet, net::IpAddr, ops::RangeInclusive};

use aop_api::VisitorError;

use crate::{
    doctor::{
        HostContext,
        finding::{CheckFinding, good, notice, untried, wrong},
    },
    netfilter::{Packet, Redirect, Ruleset, Verdict},
};

/// An interface, and an address of it.
type Place<'a> = (&'a str, IpAddr);

/// The most admitted networks of a family from which a packet is followed.
const MAX_SAMPLE: usize = 128;
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
    let admission = host.reading.iter().flat_map(|reading| reading.admission.admitted_prefixes());
    let edges = sample(admission.map(|prefix| prefix.addr()).collect());
    let filtered: Vec<Place<'_>> = filtered(host).collect();
    let listening: BTreeSet<u16> =
        host.sockets.listening.iter().map(|it| it.local.port()).collect();
    let mut found = Vec::new();
    for port in listening.into_iter().filter(|port| host.guards(*port)) {
        let open = |at: &&Place<'_>| !host.sockets.accepting((at.1, port).into()).is_empty();
        let places: Vec<Place<'_>> = filtered.iter().filter(open).copied().collect();
        let is_own = |address| is_own(host, address);
        let fates = fates(rules, &edges, &places, port, &is_own);
        // Without a listener of aop the port is for a container, say.
        if let Some(to) = fates.elsewhere.filter(|_| has_listener(host, port)) {
            found.push(sent_elsewhere(port, &describe(to.address, to.port.unwrap_or(port))));
        }
        if fates.closed > 0 {
            let everywhere = fates.closed == fates.all;
            found.push(is_closed(port, everywhere).seen_all(fates.evidence));
        }
    }
    found.dedup_by(|one, other| one.about == other.about);
    found
}

/// The fates of the first packets of pulls at a port.
#[derive(Default)]
struct Fates {
    all: usize,
    closed: usize,
    /// The texts of some closed ones.
    evidence: Vec<String>,
    /// The destination of one that leaves the port or this host.
    elsewhere: Option<Redirect>,
}

/// The fates of a packet from each edge to each place of the same family.
fn fates(
    rules: &Ruleset,
    edges: &[IpAddr],
    places: &[Place<'_>],
    port: u16,
    is_own: &impl Fn(Option<IpAddr>) -> bool,
) -> Fates {
    let mut fates = Fates::default();
    for &(interface, destination) in places {
        for &source in edges.iter().filter(|it| it.is_ipv4() == destination.is_ipv4()) {
            fates.all += 1;
            let packet = Packet { interface: interface.to_owned(), source, destination, port };
            match (rules.redirect(&packet), rules.verdict(&packet)) {
                (Some(to), _) if to.port.unwrap_or(port) == port && is_own(to.address) => {}
                (Some(to), _) => fates.elsewhere = Some(to),
                (None, Verdict::Dropped(by)) => {
                    fates.closed += 1;
                    if fates.evidence.len() < MAX_EVIDENCE {
                        let way = format!("from {source} to {destination} on {interface}");
                        fates.evidence.push(format!("{by}: {way}"));
                    }
                }
                (None, Verdict::Passes) => {}
            }
        }
    }
    fates
}

/// At most [`MAX_SAMPLE`] of the addresses of each family, evenly spread.
fn sample(edges: Vec<IpAddr>) -> Vec<IpAddr> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = edges.into_iter().partition(IpAddr::is_ipv4);
    let spread = |all: Vec<IpAddr>| {
        let step = all.len().div_ceil(MAX_SAMPLE).max(1);
        all.into_iter().step_by(step)
    };
    spread(v4).chain(spread(v6)).collect()
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
        let to = filtered(host)
            .find_map(|(interface, at)| rules.redirect(&Packet::of_stranger(interface, at, port)));
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

/// The filtered interfaces that are up, with each of their addresses.
fn filtered(host: &HostContext) -> impl Iterator<Item = Place<'_>> {
    let filtered = host.interfaces.iter().filter(|it| it.up && host.is_guarded(it));
    filtered.flat_map(|it| it.addresses.iter().map(move |at| (&*it.name, *at)))
}

/// Whether the address is one of this host; `None` means this host.
fn is_own(host: &HostContext, address: Option<IpAddr>) -> bool {
    address.is_none_or(|address| {
        address.is_loopback() || host.interfaces.iter().any(|it| it.addresses.contains(&address))
    })
}

fn has_listener(host: &HostContext, port: u16) -> bool {
    let listeners = host.config.iter().flat_map(|config| &config.fixed.listeners);
    listeners.into_iter().any(|listener| listener.port() == port)
}

fn describe(address: Option<IpAddr>, port: u16) -> String {
    let of = address.map_or_else(|| "this host".to_owned(), |address| address.to_string());
    format!("port {port} of {of}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 4] = [203, 0, 113, 10];

    fn edge() -> IpAddr {
        [173, 245, 48, 7].into()
    }

    fn pulls(rules: &str, edges: &[IpAddr]) -> Fates {
        let is_own = |address: Option<IpAddr>| address.is_none_or(|it| it == IpAddr::from(OWN));
        fates(&Ruleset::of_iptables(rules), edges, &[("eth0", OWN.into())], 443, &is_own)
    }

    #[test]
    fn a_new_destination_is_elsewhere_if_the_port_or_the_host_is_another() {
        let to = |target: &str| {
            let rules = format!(
                "*nat\n:PREROUTING ACCEPT [0:0]\n\
                 -A PREROUTING -p tcp -m tcp --dport 443 -j {target}\nCOMMIT\n"
            );
            let fates = pulls(&rules, &[edge()]);
            fates.elsewhere.map(|to| describe(to.address, to.port.unwrap_or(443)))
        };
        for own in ["203.0.113.10", "203.0.113.10:443"] {
            assert_eq!(to(&format!("DNAT --to-destination {own}")), None, "{own}");
        }
        assert_eq!(to("REDIRECT --to-ports 443"), None);
        assert_eq!(to("REDIRECT --to-ports 444").as_deref(), Some("port 444 of this host"));
        let elsewhere = to("DNAT --to-destination 10.0.0.5");
        assert_eq!(elsewhere.as_deref(), Some("port 443 of 10.0.0.5"));
    }

    #[test]
    fn a_long_list_is_sampled_evenly_in_each_family() {
        let v4 = (0..131_072_u32).map(|at| IpAddr::from((at << 8).to_be_bytes()));
        let v6 = "2001:db8::1".parse::<IpAddr>().expect("an address");
        let all: Vec<IpAddr> = v4.chain([v6]).collect();
        let few = sample(all.clone());
        assert_eq!((few.len(), few[1], few[MAX_SAMPLE]), (MAX_SAMPLE + 1, all[1024], v6));
        assert_eq!(sample(all[..5].to_vec()), all[..5]);
        let fates = pulls("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", &few);
        assert_eq!((fates.all, fates.closed, fates.evidence.len()), (128, 128, MAX_EVIDENCE));
    }
}
