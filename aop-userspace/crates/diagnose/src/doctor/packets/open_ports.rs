//! Other open TCP ports. They are not wrong, since a host may serve more than one thing.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice},
    procfs::{Socket, SocketOwners},
    upstream_place::{UpstreamPlace, places},
};

const DOCKER: &str = "docker-proxy";

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let reported = known_ports(host);
    let open = |socket: &&Socket| {
        let port = socket.local.port();
        let other = !host.guards(port) && !reported.contains(&port);
        other && !host.reached_by(socket.local).is_empty()
    };
    let open: Vec<&Socket> = host.sockets.listening.iter().filter(open).collect();
    if open.is_empty() {
        return vec![good("other_ports", "no other TCP port is open to other hosts")];
    }
    let owners = SocketOwners::find(open.iter().map(|it| it.inode));
    let mut ports: BTreeMap<u16, &str> = BTreeMap::new();
    for socket in open {
        let owner = owners.name(socket.inode).unwrap_or("unknown");
        ports.insert(socket.local.port(), owner);
    }
    let (docker, rest): (Vec<_>, Vec<_>) = ports.into_iter().partition(|(_, it)| *it == DOCKER);
    let mut findings = Vec::new();
    for (port, _) in docker {
        let finding = notice("published_port", "Docker publishes this port, which is not guarded")
            .about(port)
            .seen(format!("{DOCKER} listens at a reachable address"))
            .cure(format!(
                "if an application behind aop uses it, publish it on the loopback \
                 (`-p 127.0.0.1:{port}:…`); else nothing"
            ));
        findings.push(finding);
    }
    if !rest.is_empty() {
        let list: Vec<String> =
            rest.iter().map(|(port, owner)| format!("{port} ({owner})")).collect();
        let finding = notice("other_ports", "other TCP ports are open; aop does not filter them");
        findings.push(finding.seen(list.join(", ")).cure(
            "nothing if each is intended; an application behind aop belongs on the loopback",
        ));
    }
    findings
}

/// The ports of listeners and upstreams, which have findings of their own.
fn known_ports(host: &HostContext) -> Vec<u16> {
    let Some(config) = &host.config else { return Vec::new() };
    let listeners = config.fixed.listeners.iter().map(SocketAddr::port);
    let upstreams = places(config, &host.interfaces);
    let upstreams = upstreams.iter().flat_map(UpstreamPlace::here).map(SocketAddr::port);
    listeners.chain(upstreams).collect()
}
