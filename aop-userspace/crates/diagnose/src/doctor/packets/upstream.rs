//! Whether the application can be reached around aop, at its own port.

use std::net::SocketAddr;

use aop_api::Finding;
use aop_config::{Address, SiteConfig, Upstream};

use crate::doctor::{
    Patient,
    finding::{More, good, told, visitor, wrong},
    host::owners,
};

pub(in crate::doctor) fn look(patient: &Patient) -> Vec<Finding> {
    let Some(config) = &patient.config else { return Vec::new() };
    let mut findings: Vec<Finding> = Vec::new();
    for site in &config.live.sites {
        let Some(authority) = authority(site) else { continue };
        if findings.iter().any(|it| it.about.as_deref() == Some(authority)) {
            continue;
        }
        let listeners = &config.fixed.listeners;
        findings.push(upstream(patient, authority, listeners).about(authority));
    }
    findings
}

/// `host:port` of an upstream that is reached over TCP.
fn authority(site: &SiteConfig) -> Option<&str> {
    let address = match &site.upstream {
        Upstream::Bytes(address) => address,
        Upstream::Http(http) => &http.upstream.address,
    };
    match address {
        Address::Tcp(authority) => Some(authority),
        Address::Unix(_) => None,
    }
}

/// The port of a site's upstream, where that is on this host.
pub(super) fn port(patient: &Patient, site: &SiteConfig) -> Option<u16> {
    authority(site).and_then(|authority| port_here(patient, authority))
}

fn port_here(patient: &Patient, authority: &str) -> Option<u16> {
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok().filter(|_| is_here(patient, authority))
}

/// `listeners` are aop's own: an application may have their port at another address.
fn upstream(patient: &Patient, authority: &str, listeners: &[SocketAddr]) -> Finding {
    let Some(port) = port_here(patient, authority) else {
        return told("upstream", "the application is on another host")
            .seen("from here it cannot be seen who else reaches it")
            .cure("let that host take connections to this port from this one alone");
    };
    let at_port = patient.sockets.listening.iter().filter(|it| it.local.port() == port);
    let listening = at_port.filter(|it| !listeners.contains(&it.local));
    let open: Vec<_> = listening.filter(|it| !patient.reached_by(it.local).is_empty()).collect();
    if open.is_empty() {
        return good("upstream", "nobody reaches the application around aop");
    }
    let owners = owners(&open.iter().map(|it| it.inode).collect::<Vec<_>>());
    let cure = format!(
        "let it listen on 127.0.0.1:{port} alone (in Docker: `-p 127.0.0.1:{port}:{port}`)"
    );
    let finding = match patient.guards(port) {
        true => told(
            "upstream",
            "the application listens at a guarded port of its own: strangers are kept out, and every \
             customer of the CDN gets in without a certificate",
        )
        .cure(cure),
        false => wrong(
            "upstream",
            "the application listens for everybody: who knows this host's address reaches it around \
             both locks (unless another packet filter drops that)",
            visitor::NOTHING,
            cure,
        ),
    };
    let seen = |finding: Finding, socket: &&crate::doctor::host::Socket| {
        let owner = owners.get(&socket.inode).map_or("a program that cannot be seen", |it| it);
        finding.seen(format!("{owner} listens on {}", socket.local))
    };
    open.iter().fold(finding, seen)
}

/// Whether it is this host's own: by the loopback, or by an address of an interface.
fn is_here(patient: &Patient, authority: &str) -> bool {
    let Some((host, _)) = authority.rsplit_once(':') else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => {
            let own = patient.interfaces.iter().any(|it| it.addresses.contains(&address));
            own || address.is_loopback() || address.is_unspecified()
        }
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}
