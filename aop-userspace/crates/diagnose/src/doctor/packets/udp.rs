//! UDP at a guarded port, such as HTTP/3 of another server: it bypasses both locks.

use aop_api::Finding;
use aop_config::UdpPolicy;

use super::super::host::owners;
use crate::doctor::{
    HostContext,
    finding::{More, good, visitor, wrong},
};

pub(in crate::doctor) fn look(patient: &HostContext) -> Vec<Finding> {
    let Some(config) = &patient.config else { return Vec::new() };
    if config.fixed.firewall.is_none() {
        return Vec::new();
    }
    if config.live.udp == UdpPolicy::Drop {
        return vec![good("udp", "UDP to guarded ports is dropped")];
    }
    let sockets = &patient.sockets.udp;
    let open = sockets.iter().filter(|it| patient.guards(it.local.port()));
    let open: Vec<_> = open.filter(|it| !patient.reached_by(it.local).is_empty()).collect();
    if open.is_empty() {
        return vec![good("udp", "no program receives UDP at a guarded port")];
    }
    let owners = owners(&open.iter().map(|it| it.inode).collect::<Vec<_>>());
    let finding = wrong(
        "udp",
        "a program receives UDP at a guarded port, and UDP passes: strangers reach it around both \
         locks",
        visitor::NOTHING,
        "set firewall.udp = \"drop\", then `aop reload` (CDNs do not pull over UDP), or switch off \
         HTTP/3 in that program",
    );
    let seen = |finding: Finding, socket: &&super::super::host::Socket| {
        let owner = owners.get(&socket.inode).map_or("an unknown program", |it| it);
        finding.seen(format!("UDP {}: {owner}", socket.local))
    };
    vec![open.iter().fold(finding, seen)]
}
