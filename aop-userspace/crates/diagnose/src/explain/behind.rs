//! The host's own packet filter (nftables, iptables, ufw), which sees the packets that aop passes.

use std::net::IpAddr;

use aop_firewall::host_interfaces;

use crate::netfilter::{Packet, Redirect, Ruleset, Verdict};

/// Why `packet` does not reach its port, as a sentence; `None` where no rule is known to stop it.
pub(super) fn fate(packet: &Packet) -> Option<String> {
    let rules = Ruleset::read()?;
    let interfaces = host_interfaces().unwrap_or_default();
    let own: Vec<IpAddr> = interfaces.into_iter().flat_map(|it| it.addresses).collect();
    fate_by(&rules, packet, &own)
}

/// `own` are the addresses of this host.
fn fate_by(rules: &Ruleset, packet: &Packet, own: &[IpAddr]) -> Option<String> {
    if let Some(Redirect { address, port }) = rules.redirect(packet) {
        let to_port = port.unwrap_or(packet.port);
        let leaves = address.is_some_and(|to| !own.contains(&to));
        return (leaves || to_port != packet.port).then(|| {
            let host = address.map_or("this host".to_owned(), |to| to.to_string());
            format!("after aop, address translation sends it to {host}, port {to_port}")
        });
    }
    match rules.verdict(packet) {
        Verdict::Passes => None,
        Verdict::Dropped(by) => Some(format!(
            "after aop, the host's own packet filter drops it ({by}): `aop doctor` has the cure"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_and_a_redirect_are_named_and_an_open_port_is_not() {
        let to: IpAddr = "203.0.113.10".parse().expect("an address");
        let packet = Packet::of_stranger("eth0", to, 443);
        let fate = |rules: &str| fate_by(&Ruleset::of_iptables(rules), &packet, &[to]);
        let closed = fate("*filter\n:INPUT DROP [0:0]\n").expect("a fate");
        assert!(closed.contains("drops it (chain INPUT of"), "{closed}");
        let open = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT\n";
        assert_eq!(fate(open), None);
        let nat = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 443 -j ";
        let sent = fate(&format!("{nat}REDIRECT --to-ports 8443\n")).expect("a fate");
        assert!(sent.contains("to this host, port 8443"), "{sent}");
        let away = fate(&format!("{nat}DNAT --to-destination 172.17.0.2:443\n")).expect("a fate");
        assert!(away.contains("to 172.17.0.2, port 443"), "{away}");
        assert_eq!(fate(&format!("{nat}DNAT --to-destination 203.0.113.10:443\n")), None);
    }
}
