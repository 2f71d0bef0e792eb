//! UDP at a guarded port, such as HTTP/3 of another server: it bypasses both locks.

use aop_api::VisitorError;
use aop_config::UdpPolicy;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, wrong},
    procfs::SocketOwners,
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let Some(config) = &host.config else { return Vec::new() };
    if config.fixed.firewall.is_none() {
        return Vec::new();
    }
    if config.live.udp == UdpPolicy::Drop {
        return vec![good("udp", "UDP to guarded ports is dropped")];
    }
    let sockets = &host.sockets.udp;
    let open = sockets.iter().filter(|it| host.guards(it.local.port()));
    let open: Vec<_> = open.filter(|it| !host.reached_by(it.local).is_empty()).collect();
    if open.is_empty() {
        return vec![good("udp", "no program receives UDP at a guarded port")];
    }
    let owners = SocketOwners::find(open.iter().map(|it| it.inode));
    let finding = wrong(
        "udp",
        "a program receives UDP at a guarded port, and UDP passes: strangers reach it around both \
         locks",
        VisitorError::Nothing,
        "set firewall.udp = \"drop\", then `aop reload` (CDNs do not pull over UDP), or switch off \
         HTTP/3 in that program",
    );
    let seen = open.iter().map(|it| format!("UDP {}: {}", it.local, owners.describe(it.inode)));
    vec![finding.seen_all(seen)]
}
