//! Whether others can reach the application at its own port, around aop.

use std::net::SocketAddr;

use aop_api::VisitorError;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, wrong},
    procfs::{Socket, SocketOwners},
    upstream_place::{UpstreamPlace, places},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let Some(config) = &host.config else { return Vec::new() };
    let places = places(config, &host.interfaces);
    let over_tcp = places.iter().filter_map(|place| Some((place, place.port()?)));
    let finding = |(place, port): (&UpstreamPlace, u16)| {
        upstream(host, place, port, &config.fixed.listeners).about(&place.name)
    };
    over_tcp.map(finding).collect()
}

/// `listeners` are aop's own sockets: the application may use the same port at another address.
fn upstream(
    host: &HostContext,
    place: &UpstreamPlace,
    port: u16,
    listeners: &[SocketAddr],
) -> CheckFinding {
    if place.is_elsewhere() {
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
