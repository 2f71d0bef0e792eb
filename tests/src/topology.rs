//! The addresses, links and routes of a lab: one router with three hosts.
//!
//! The addresses of the edge are in prefixes that Cloudflare publishes. The others are in
//! documentation ranges. Each host has one `eth0`. Its peer on the router has the host's name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{IpVersion, Netns, child, netns};

/// How long `nft` may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A host and its addresses. It connects from the first address of each IP version.
pub(crate) struct HostAddresses {
    pub(crate) name: &'static str,
    v4: &'static [Ipv4Addr],
    v6: &'static [Ipv6Addr],
}

pub(crate) const ORIGIN: HostAddresses = HostAddresses {
    name: "origin",
    v4: &[Ipv4Addr::new(203, 0, 113, 10)],
    v6: &[Ipv6Addr::new(0x2001, 0xdb8, 0, 0x10, 0, 0, 0, 0x10)],
};
pub(crate) const EDGE: HostAddresses = HostAddresses {
    name: "edge",
    v4: &[Ipv4Addr::new(173, 245, 48, 7), Ipv4Addr::new(173, 245, 48, 8)],
    v6: &[
        Ipv6Addr::new(0x2400, 0xcb00, 0, 0, 0, 0, 0, 7),
        Ipv6Addr::new(0x2400, 0xcb00, 0, 0, 0, 0, 0, 8),
    ],
};
pub(crate) const STRANGER: HostAddresses = HostAddresses {
    name: "stranger",
    v4: &[Ipv4Addr::new(198, 51, 100, 66)],
    v6: &[Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0x66)],
};
pub(crate) const ROUTER: &str = "router";
pub(crate) const HOSTS: [&HostAddresses; 3] = [&ORIGIN, &EDGE, &STRANGER];

impl HostAddresses {
    pub(crate) fn address(&self, version: IpVersion, index: usize) -> IpAddr {
        match version {
            IpVersion::V4 => self.v4[index].into(),
            IpVersion::V6 => self.v6[index].into(),
        }
    }

    fn gateway_v4(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.v4[0].octets();
        Ipv4Addr::new(a, b, c, 1)
    }

    fn gateway_v6(&self) -> Ipv6Addr {
        let [a, b, c, d, ..] = self.v6[0].segments();
        Ipv6Addr::new(a, b, c, d, 0, 0, 0, 1)
    }

    /// The `ip -batch` lines for the namespace of the host.
    fn lines(&self) -> String {
        let mut lines = String::from("link set lo up\nlink set eth0 up\n");
        for address in self.v4 {
            lines += &format!("address add {address}/24 dev eth0\n");
        }
        for address in self.v6 {
            lines += &format!("address add {address}/64 dev eth0 nodad\n");
        }
        let (v4, v6) = (self.v4[0], self.v6[0]);
        lines += &format!("route add default via {} src {v4}\n", self.gateway_v4());
        lines += &format!("route add default via {} src {v6}\n", self.gateway_v6());
        lines
    }
}

/// Links the hosts to the router and adds addresses and routes. The link of the origin is a pair of
/// veth interfaces, or these cards.
pub(crate) fn connect(router: &Netns, hosts: &[Netns; 3], cards: Option<[&str; 2]>) -> Result<()> {
    for netns in hosts.iter().chain([router]) {
        prepare(netns)?;
    }
    router.set_sysctl("ipv4/ip_forward", "1")?;
    router.set_sysctl("ipv6/conf/all/forwarding", "1")?;

    let mut routes = String::from("link set lo up\n");
    for (host, netns) in HOSTS.iter().zip(hosts) {
        let (name, near, far) = (host.name, netns.name(), router.name());
        match cards.filter(|_| name == ORIGIN.name) {
            // In the namespace of the host: this machine may have an interface of that name.
            None => {
                netns.ip(&format!("link add eth0 type veth peer name {name} netns {far}\n"))?;
            }
            Some([card, outside]) => netns::ip(
                Command::new("ip"),
                &format!(
                    "link set {card} netns {near} name eth0\n\
                     link set {outside} netns {far} name {name}\n"
                ),
            )?,
        }
        routes += &format!("link set {name} up\n");
        routes += &format!("address add {}/24 dev {name}\n", host.gateway_v4());
        routes += &format!("address add {}/64 dev {name} nodad\n", host.gateway_v6());
    }
    router.ip(&routes)?;
    for (host, netns) in HOSTS.iter().zip(hosts) {
        netns.ip(&host.lines())?;
    }
    Ok(())
}

/// A new namespace inherits some settings of the machine. A test must not depend on them.
fn prepare(netns: &Netns) -> Result<()> {
    for scope in ["all", "default"] {
        netns.set_sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "0")?;
        netns.set_sysctl(&format!("ipv6/conf/{scope}/accept_dad"), "0")?;
        netns.set_sysctl(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
    }
    Ok(())
}

/// Links `host` to the router as the interface `name` there; the router has the next address.
pub(crate) fn add_host(router: &Netns, host: &Netns, name: &str, address: Ipv4Addr) -> Result<()> {
    prepare(host)?;
    let gateway = Ipv4Addr::from(u32::from(address) + 1);
    host.ip(&format!("link add eth0 type veth peer name {name} netns {}\n", router.name()))?;
    router.ip(&format!("link set {name} up\naddress add {gateway}/28 dev {name}\n"))?;
    host.ip(&format!(
        "link set lo up\nlink set eth0 up\naddress add {address}/28 dev eth0\n\
         route add default via {gateway}\n"
    ))
}

/// Links `host` to `container`, and translates `port` of the host to port 80 of the container.
pub(crate) fn publish(host: &Netns, container: &Netns, port: u16) -> Result<()> {
    host.ip(&format!(
        "link add bridge0 type veth peer name eth0 netns {}\nlink set bridge0 up\n\
         address add 172.17.0.1/16 dev bridge0\n",
        container.name()
    ))?;
    container.ip("link set eth0 up\naddress add 172.17.0.2/16 dev eth0\n\
                  route add default via 172.17.0.1\n")?;
    host.set_sysctl("ipv4/ip_forward", "1")?;
    let rules = format!(
        "table ip published {{\n\
         chain before {{\n type nat hook prerouting priority dstnat\n\
         tcp dport {port} dnat to 172.17.0.2:80\n}}\n\
         chain own {{\n type filter hook input priority filter\n tcp dport {port} drop\n}}\n}}\n"
    );
    let mut nft = host.command("nft");
    nft.args(["-f", "-"]);
    let done = child::finish(nft, rules.as_bytes(), PATIENCE)?.success();
    done.map(drop).with_context(|| format!("nft: {rules}"))
}
