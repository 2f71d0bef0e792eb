//! UDP at a guarded port: HTTP/3 of somebody else, which goes past both locks.

use aop_api::Finding;
use aop_config::Udp;

use super::super::host::owners;
use crate::doctor::{
    Patient,
    finding::{More, good, visitor, wrong},
};

pub(in crate::doctor) fn look(patient: &Patient) -> Vec<Finding> {
    let Some(config) = &patient.config else { return Vec::new() };
    if config.fixed.firewall.is_none() {
        return Vec::new();
    }
    if config.live.udp == Udp::Drop {
        return vec![good("udp", "UDP to guarded ports is dropped")];
    }
    let sockets = &patient.sockets.udp;
    let open = sockets.iter().filter(|it| patient.guards(it.local.port()));
    let open: Vec<_> = open.filter(|it| !patient.reached_by(it.local).is_empty()).collect();
    if open.is_empty() {
        return vec![good("udp", "nothing takes UDP at a guarded port")];
    }
    let owners = owners(&open.iter().map(|it| it.inode).collect::<Vec<_>>());
    let finding = wrong(
        "udp",
        "something takes UDP at a guarded port, and UDP passes: strangers reach it around both locks",
        visitor::NOTHING,
        "set firewall.udp = \"drop\" and `aop reload` (no CDN pulls over UDP), or switch HTTP/3 off \
         in that program",
    );
    let seen = |finding: Finding, socket: &&super::super::host::Socket| {
        let owner = owners.get(&socket.inode).map_or("a program that cannot be seen", |it| it);
        finding.seen(format!("UDP {}: {owner}", socket.local))
    };
    vec![open.iter().fold(finding, seen)]
}
