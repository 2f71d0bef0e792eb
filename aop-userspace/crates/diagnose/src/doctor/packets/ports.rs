//! Whether the ports of aop's listeners are guarded.

use aop_api::VisitorError;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, untried, wrong},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let Some(config) = &host.config else {
        return vec![untried("listener_port", "the configuration cannot be read")];
    };
    if config.fixed.firewall.is_none() {
        return Vec::new();
    }
    let mut ports: Vec<u16> = Vec::new();
    for listener in &config.fixed.listeners {
        if !listener.ip().is_loopback() && !ports.contains(&listener.port()) {
            ports.push(listener.port());
        }
    }
    let finding = |port: u16| {
        let finding = if host.guards(port) {
            good("listener_port", "the port is guarded")
        } else {
            wrong(
                "listener_port",
                "aop listens on this port, but the port is not guarded: any packet reaches TLS",
                VisitorError::Nothing,
                format!("add {port} to firewall.ports (or leave ports out), then `aop reload`"),
            )
        };
        finding.about(port)
    };
    ports.into_iter().map(finding).collect()
}
