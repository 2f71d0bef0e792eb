//! Whether others can reach the application at its own port, around aop.

use std::net::SocketAddr;

use aop_api::VisitorError;
use aop_config::{SiteConfig, Upstream, UpstreamAddress};

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, wrong},
    procfs::{Socket, SocketOwners},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let Some(config) = &host.config else { return Vec::new() };
    let mut findings: Vec<CheckFinding> = Vec::new();
    for site in &config.live.sites {
        let Some(authority) = authority(site) else { continue };
        if findings.iter().any(|it| it.about.as_deref() == Some(authority)) {
            continue;
        }
        let listeners = &config.fixed.listeners;
        findings.push(upstream(host, authority, listeners).about(authority));
    }
    findings
}

/// `host:port` of an upstream over TCP.
fn authority(site: &SiteConfig) -> Option<&str> {
    let address = match &site.upstream {
        Upstream::Bytes(address) => address,
        Upstream::Http(http) => &http.upstream.address,
    };
    match address {
        UpstreamAddress::Tcp(authority) => Some(authority),
        UpstreamAddress::Unix(_) => None,
    }
}

/// The port of a site's upstream, if it is on this host.
pub(super) fn port(host: &HostContext, site: &SiteConfig) -> Option<u16> {
    authority(site).and_then(|authority| port_here(host, authority))
}

fn port_here(host: &HostContext, authority: &str) -> Option<u16> {
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok().filter(|_| is_here(host, authority))
}

/// `listeners` are aop's own sockets: the application may use the same port at another address.
fn upstream(host: &HostContext, authority: &str, listeners: &[SocketAddr]) -> CheckFinding {
    let Some(port) = port_here(host, authority) else {
        return notice("upstream", "the application is on another host")
            .seen("the doctor cannot see who else reaches it")
            .cure("let that host accept connections to this port only from this host");
    };
    let at_port = host.sockets.listening.iter().filter(|it| it.local.port() == port);
    let listening = at_port.filter(|it| !listeners.contains(&it.local));
    let open: Vec<&Socket> = listening.filter(|it| !host.reached_by(it.local).is_empty()).collect();
    if open.is_empty() {
        return good("upstream", "other hosts cannot reach the application around aop");
    }
    let owners = SocketOwners::find(open.iter().map(|it| it.inode));
    let cure =
        format!("let it listen only on 127.0.0.1:{port} (in Docker: `-p 127.0.0.1:{port}:{port}`)");
    let finding = if host.guards(port) {
        notice(
            "upstream",
            "the application listens on a guarded port of its own: strangers are kept out, but \
             every customer of the CDN gets in without a certificate",
        )
        .cure(cure)
    } else {
        wrong(
            "upstream",
            "the application listens on a public address: anybody can reach it around both locks \
             (unless another packet filter drops that)",
            VisitorError::Nothing,
            cure,
        )
    };
    let listens = |it: &&Socket| format!("{} listens on {}", owners.describe(it.inode), it.local);
    finding.seen_all(open.iter().map(listens))
}

/// Whether the authority is on this host: the loopback, or an address of an interface.
fn is_here(host: &HostContext, authority: &str) -> bool {
    let Some((name, _)) = authority.rsplit_once(':') else { return false };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    match name.parse::<std::net::IpAddr>() {
        Ok(address) => {
            let own = host.interfaces.iter().any(|it| it.addresses.contains(&address));
            own || address.is_loopback() || address.is_unspecified()
        }
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}
