//! Whether the applications answer, and in clear text, as aop asks them.

use std::{
    io::{self, Read, Write},
    net::Ipv4Addr,
    time::Duration,
};

use aop_api::VisitorError;
use aop_tls::ProbeClient;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, wrong},
    upstream_place::{UpstreamPlace, places},
};

/// How long the answer to a ClientHello may take.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let Some(config) = &host.config else { return Vec::new() };
    let places = places(config, &host.interfaces);
    places.iter().map(|place| upstream(host, place).about(&place.name)).collect()
}

fn upstream(host: &HostContext, place: &UpstreamPlace) -> CheckFinding {
    let failed = match place.is_elsewhere() {
        true => place.connect().err(),
        false => place.nobody_listens(&host.sockets),
    };
    if let Some(error) = failed {
        return wrong(
            "upstream_answers",
            "no application answers at the upstream",
            VisitorError::BadGateway,
            "start the application, or correct site.upstream",
        )
        .seen(format!("a connection fails: {error}"));
    }
    if may_speak_tls(host, place) && speaks_tls(place).unwrap_or(false) {
        return wrong(
            "upstream_tls",
            "the application speaks TLS at the upstream, and aop sends it plain requests or bytes",
            VisitorError::BadGateway,
            "name a port at which the application speaks plain HTTP, on the loopback alone",
        );
    }
    good("upstream_answers", "the application answers at the upstream")
}

/// Whether the application is worth a ClientHello, which it may log as a bad request: its port ends
/// as ports of HTTPS do (443, 8443), or it broke the protocol before.
fn may_speak_tls(host: &HostContext, place: &UpstreamPlace) -> bool {
    let broken = |count: &aop_api::RefusalCount| count.reason == "upstream_broken";
    let was_broken = host.status.requests.refused.iter().any(broken);
    place.port().is_some_and(|port| port % 1000 == 443 || was_broken)
}

/// Whether the answer to a ClientHello is a TLS record: of a handshake (22), or an alert (21).
fn speaks_tls(place: &UpstreamPlace) -> io::Result<bool> {
    let client = ProbeClient::new(None, None, None).map_err(io::Error::other)?;
    let hello = client.begin(Some("aop-doctor.invalid"), Ipv4Addr::LOCALHOST.into());
    let hello = hello.map_err(io::Error::other)?.take_outgoing()?;
    let mut stream = place.connect()?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&hello)?;
    let mut record = [0; 2];
    stream.read_exact(&mut record)?;
    Ok(matches!(record, [21 | 22, 3]))
}
