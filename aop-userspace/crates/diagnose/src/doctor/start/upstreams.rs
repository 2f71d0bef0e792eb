//! Upstreams that cannot be right: aop itself, a port of TLS, and one at which nobody listens.

use std::net::SocketAddr;

use aop_api::VisitorError;

use super::Start;
use crate::doctor::{
    finding::{CheckFinding, notice, wrong},
    upstream_place::{UpstreamPlace, places},
};

const HTTPS: u16 = 443;

/// Upstreams that are aop itself.
pub(super) fn check(start: &Start<'_>) -> Vec<CheckFinding> {
    let places = places(start.config, start.interfaces);
    places.iter().filter_map(|place| is_aop(start, place)).collect()
}

/// Told, and not wrong: a check may come before the start of the application, and tries no port.
pub(super) fn doubts(start: &Start<'_>) -> Vec<CheckFinding> {
    let places = places(start.config, start.interfaces);
    let others = places.iter().filter(|place| is_aop(start, place).is_none());
    let finding = |place: &UpstreamPlace| {
        let finding = if place.nobody_listens(start.sockets).is_some() {
            let said =
                format!("nobody listens at the upstream {}: visitors would see 502", place.name);
            notice("upstream_answers", said).cure("start the application, or correct site.upstream")
        } else if place.port() == Some(HTTPS) {
            let said = format!(
                "the upstream {} has the port of HTTPS, and aop speaks no TLS to it",
                place.name
            );
            notice("upstream_tls", said).cure("name a port at which the application speaks HTTP")
        } else {
            return None;
        };
        Some(finding.about(&place.name))
    };
    others.filter_map(finding).collect()
}

fn is_aop(start: &Start<'_>, place: &UpstreamPlace) -> Option<CheckFinding> {
    let reaches = |listener: &&SocketAddr| place.here().iter().any(|to| accepts(**listener, *to));
    let listener = start.config.fixed.listeners.iter().find(reaches)?;
    let finding = wrong(
        "upstream_is_aop",
        format!(
            "the upstream {} is aop's own listener {listener}: pulls go in circles",
            place.name
        ),
        VisitorError::BadGateway,
        "let the application listen on another port of the loopback, and name that port in \
         site.upstream",
    );
    Some(finding.about(&place.name))
}

/// Whether a connection to `to`, an address of this host, reaches `listener`.
fn accepts(listener: SocketAddr, to: SocketAddr) -> bool {
    let same_family = listener.is_ipv4() == to.is_ipv4();
    let takes_address = listener.ip() == to.ip() || listener.ip().is_unspecified();
    same_family && takes_address && listener.port() == to.port()
}
