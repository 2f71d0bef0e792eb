//! The addresses and links of a world: one router, and three hosts behind it.
//!
//! The edge's addresses lie in published prefixes of Cloudflare, the others in documentation
//! ranges. Each host sees one `eth0`; the router's ends carry the hosts' names.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{Place, child};

/// For a tool to do what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// A host of the world and its addresses; the first of each family is the one it speaks from.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    v4: &'static [Ipv4Addr],
    v6: &'static [Ipv6Addr],
}

pub(crate) const ORIGIN: Host = Host {
    name: "origin",
    v4: &[Ipv4Addr::new(203, 0, 113, 10)],
    v6: &[Ipv6Addr::new(0x2001, 0xdb8, 0, 0x10, 0, 0, 0, 0x10)],
};
pub(crate) const EDGE: Host = Host {
    name: "edge",
    v4: &[Ipv4Addr::new(173, 245, 48, 7), Ipv4Addr::new(173, 245, 48, 8)],
    v6: &[
        Ipv6Addr::new(0x2400, 0xcb00, 0, 0, 0, 0, 0, 7),
        Ipv6Addr::new(0x2400, 0xcb00, 0, 0, 0, 0, 0, 8),
    ],
};
pub(crate) const STRANGER: Host = Host {
    name: "stranger",
    v4: &[Ipv4Addr::new(198, 51, 100, 66)],
    v6: &[Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0x66)],
};
pub(crate) const ROUTER: &str = "internet";
pub(crate) const HOSTS: [&Host; 3] = [&ORIGIN, &EDGE, &STRANGER];

impl Host {
    pub(crate) fn v4(&self, index: usize) -> IpAddr {
        self.v4[index].into()
    }

    pub(crate) fn v6(&self, index: usize) -> IpAddr {
        self.v6[index].into()
    }

    fn gateway_v4(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.v4[0].octets();
        Ipv4Addr::new(a, b, c, 1)
    }

    fn gateway_v6(&self) -> Ipv6Addr {
        let [a, b, c, d, ..] = self.v6[0].segments();
        Ipv6Addr::new(a, b, c, d, 0, 0, 0, 1)
    }

    /// `ip -batch` lines for the host's own namespace.
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

/// Links the hosts to the router and gives everybody addresses and routes.
pub(crate) fn connect(router: &Place, hosts: &[Place; 3]) -> Result<()> {
    for place in hosts.iter().chain([router]) {
        place.inside(prepare)??;
    }
    router.inside(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    router.inside(|| std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1"))??;

    let mut links = String::new();
    let mut routes = String::from("link set lo up\n");
    for (host, place) in HOSTS.iter().zip(hosts) {
        let (name, netns, far) = (host.name, place.netns(), router.netns());
        links += &format!("link add eth0 netns {netns} type veth peer name {name} netns {far}\n");
        routes += &format!("link set {name} up\n");
        routes += &format!("address add {}/24 dev {name}\n", host.gateway_v4());
        routes += &format!("address add {}/64 dev {name} nodad\n", host.gateway_v6());
    }
    ip(Command::new("ip"), &links)?;
    ip(router.command("ip"), &routes)?;
    for (host, place) in HOSTS.iter().zip(hosts) {
        ip(place.command("ip"), &host.lines())?;
    }
    Ok(())
}

/// A new namespace inherits some settings of the machine; these must not depend on it.
fn prepare() -> std::io::Result<()> {
    for scope in ["all", "default"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "0")?;
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/accept_dad"), "0")?;
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"), "0")?;
    }
    Ok(())
}

/// Gives `host` a bridge to `container`, and translates its own `port` to port 80 there.
pub(crate) fn publish(host: &Place, container: &Place, port: u16) -> Result<()> {
    let netns = container.netns();
    let lines = format!(
        "link add bridge0 type veth peer name eth0 netns {netns}\nlink set bridge0 up\n\
         address add 172.17.0.1/16 dev bridge0\n"
    );
    ip(host.command("ip"), &lines)?;
    let lines = "link set eth0 up\naddress add 172.17.0.2/16 dev eth0\n\
                 route add default via 172.17.0.1\n";
    ip(container.command("ip"), lines)?;
    host.inside(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    let rules = format!(
        "table ip published {{\n\
         chain before {{\n type nat hook prerouting priority dstnat\n\
         tcp dport {port} dnat to 172.17.0.2:80\n}}\n\
         chain own {{\n type filter hook input priority filter\n tcp dport {port} drop\n}}\n}}\n"
    );
    let mut nft = host.command("nft");
    nft.args(["-f", "-"]);
    let done = child::finish(nft, rules.as_bytes(), PATIENCE)?;
    ensure!(done.code == 0, "nft failed: {}\n{rules}", done.errors);
    Ok(())
}

/// Runs `ip`, as `command` starts it, over `lines`. Not `ip -n`: that remounts the root, which not
/// every container allows.
pub(crate) fn ip(mut command: Command, lines: &str) -> Result<()> {
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run `ip`: install iproute2")?;
    child.stdin.take().context("no pipe to ip")?.write_all(lines.as_bytes())?;
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip failed: {complaint}\n{lines}");
    Ok(())
}
