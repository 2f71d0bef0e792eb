//! Whether the ports of aop's listeners are guarded.

use aop_api::Finding;

use crate::doctor::{
    HostContext,
    finding::{More, good, untried, visitor, wrong},
};

pub(in crate::doctor) fn look(patient: &HostContext) -> Vec<Finding> {
    let Some(config) = &patient.config else {
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
    let port = |port: u16| match patient.guards(port) {
        true => good("listener_port", "the port is guarded").about(port),
        false => wrong(
            "listener_port",
            "aop listens on this port, but the port is not guarded: any packet reaches TLS",
            visitor::NOTHING,
            format!("add {port} to firewall.ports (or leave ports out), then `aop reload`"),
        )
        .about(port),
    };
    ports.into_iter().map(port).collect()
}
