//! A zone in SSL mode Flexible never comes to the guarded ports: its pulls go to port 80 in clear.

use aop_common::Standing;

use super::refused;
use crate::{
    control::Finding,
    doctor::{
        Patient,
        finding::{More, good, visitor, wrong},
    },
    prefixes::monotonic_seconds,
};

const HTTP: u16 = 80;
/// Addresses that are named.
const NAMED: usize = 4;

pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let listens = patient.sockets.listening.iter().filter(|it| it.local.port() == HTTP);
    let mut listens = listens.filter(|it| !patient.reached_by(it.local).is_empty());
    let Some(socket) = listens.next() else { return Vec::new() };
    if patient.guards(HTTP) {
        return Vec::new();
    }
    // Whoever is refused for his certificate has come to the right port.
    let comes = patient.status.is_pulled(None) || refused(patient, "list").next().is_some();
    let from_edge = from_edge(patient);
    if comes && from_edge.is_empty() {
        return vec![good("ssl_mode", "the CDN comes to the guarded ports, and not to port 80")];
    }
    let cure = "set the zone's SSL/TLS mode to Full (strict), and let nothing but a redirect listen on \
                port 80; if nobody has visited yet, open the site through the CDN and run this again";
    let finding = match from_edge.is_empty() {
        false => wrong(
            "ssl_mode_flexible",
            "the CDN pulls at port 80, in clear, around both locks: its SSL/TLS mode is Flexible or Off",
            visitor::NOTHING,
            cure,
        ),
        true => wrong(
            "ssl_mode_flexible",
            "nobody has pulled at a guarded port, and port 80 is open: the zone's SSL/TLS mode may be \
             Flexible, which pulls there, in clear",
            visitor::NOTHING,
            cure,
        ),
    };
    let finding = finding.seen(format!("something listens on {}", socket.local));
    let seen = |finding: Finding, address: &String| {
        finding.seen(format!("{address}, which the list admits, was connected to port 80"))
    };
    vec![from_edge.iter().take(NAMED).fold(finding, seen)]
}

/// Who of the list is connected to port 80, or was until a moment ago.
fn from_edge(patient: &Patient) -> Vec<String> {
    let Some(reading) = &patient.reading else { return Vec::new() };
    let now = monotonic_seconds();
    let at_http = patient.sockets.connected.iter().filter(|it| it.local.port() == HTTP);
    let remote = at_http.map(|it| it.remote.ip());
    let listed = remote.filter(|it| reading.admission.standing(*it, now) == Standing::Admitted);
    let mut listed: Vec<String> = listed.map(|it| it.to_string()).collect();
    listed.sort_unstable();
    listed.dedup();
    listed
}
