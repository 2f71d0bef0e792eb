//! Guarded ports that are reachable through an interface without the packet program. The classic
//! case is IPv6 on an interface of its own.

use std::{collections::BTreeMap, net::IpAddr};

use aop_api::VisitorError;

use super::private::is_private;
use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, wrong},
};

/// The most addresses that are listed.
const MAX_EVIDENCE: usize = 6;

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    if host.reading.is_none() {
        return Vec::new();
    }
    let mut guarded = 0_usize;
    let mut exposed: BTreeMap<&str, Vec<(IpAddr, u16)>> = BTreeMap::new();
    for socket in &host.sockets.listening {
        let port = socket.local.port();
        if !host.guards(port) {
            continue;
        }
        for (interface, address) in host.reached_by(socket.local) {
            if host.is_guarded(interface) {
                guarded += 1;
            } else {
                let found = exposed.entry(&interface.name).or_default();
                if !found.contains(&(address, port)) {
                    found.push((address, port));
                }
            }
        }
    }
    let unfiltered = host.interfaces.iter().any(|it| host.is_unfiltered(it));
    if exposed.is_empty() && guarded > 0 && !unfiltered {
        let said = "no way around the filter: every interface on which packets arrive is filtered";
        return vec![good("exposed", said)];
    }
    exposed.into_iter().map(|(name, found)| finding(name, &found)).collect()
}

fn finding(name: &str, found: &[(IpAddr, u16)]) -> CheckFinding {
    let finding = if found.iter().all(|(address, _)| is_private(*address)) {
        notice(
            "exposed",
            "a guarded port is open on this interface, and the interface is not guarded; its \
             addresses are private",
        )
        .cure("nothing if only your own hosts and containers reach it")
    } else {
        wrong(
            "exposed",
            "a guarded port is open on this interface, and the interface is not guarded: everybody \
             reaches TLS",
            VisitorError::Nothing,
            format!("add \"{name}\" to firewall.interfaces, then `aop reload`"),
        )
    };
    let seen = found.iter().map(|(address, port)| format!("port {port} listens at {address}"));
    finding.about(name).seen_all(seen.take(MAX_EVIDENCE))
}
