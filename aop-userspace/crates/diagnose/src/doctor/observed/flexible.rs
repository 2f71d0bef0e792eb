//! A zone in SSL mode Flexible never comes to the guarded ports: its pulls go to port 80 in clear. In the
//! mode Full, and Full (strict), those of visitors who speak plain HTTP go there too.

use aop_api::Finding;
use aop_common::Standing;
use aop_types::monotonic_seconds;

use super::refused;
use crate::doctor::{
    Patient,
    finding::{More, good, told, visitor, wrong},
};

const HTTP: u16 = 80;
/// Addresses that are named.
const NAMED: usize = 4;
const STRICT: &str = "set the zone's SSL/TLS mode to Full (strict), and let nothing but a redirect listen \
                      on port 80; if nobody has visited yet, open the site through the CDN and run this \
                      again";

pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let listens = patient.sockets.listening.iter().filter(|it| it.local.port() == HTTP);
    let mut listens = listens.filter(|it| !patient.reached_by(it.local).is_empty());
    let Some(socket) = listens.next() else { return Vec::new() };
    if patient.guards(HTTP) {
        return Vec::new();
    }
    let is_pulled = patient.status.is_pulled(None);
    // Whoever is refused for his certificate has come to the right port.
    let comes = is_pulled || refused(patient, "list").next().is_some();
    let from_edge = from_edge(patient);
    let finding = match (from_edge.is_empty(), comes) {
        (true, true) => {
            return vec![good("ssl_mode", "the CDN comes to the guarded ports, and not to port 80")];
        }
        (true, false) => told(
            "ssl_mode_flexible",
            "nobody has pulled at a guarded port, and port 80 is open: the zone's SSL/TLS mode may be \
             Flexible, which pulls there, in clear",
        )
        .cure(STRICT),
        (false, _) if is_pulled => told(
            "ssl_mode_flexible",
            "the CDN pulls at port 80 too, in clear, around both locks: for visitors who speak plain \
             HTTP, or for a zone whose SSL/TLS mode is Flexible",
        )
        .cure(
            "switch Always Use HTTPS on for the zone, let nothing but a redirect listen on port 80, and \
             have every zone of this host in Full (strict)",
        ),
        (false, _) => wrong(
            "ssl_mode_flexible",
            "the CDN pulls at port 80, in clear, around both locks, and nobody has pulled with a \
             certificate: its SSL/TLS mode is Flexible or Off",
            visitor::NOTHING,
            STRICT,
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
