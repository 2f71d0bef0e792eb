//! Pulls at port 80. A zone in SSL/TLS mode Flexible never uses the guarded ports: its pulls go to
//! port 80 in clear text. In Full and Full (strict), pulls for visitors on plain HTTP also go
//! there.

use aop_api::VisitorError;
use aop_common::Standing;
use aop_types::monotonic_seconds;

use super::refused;
use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, wrong},
};

const HTTP: u16 = 80;
/// The most addresses that are listed.
const MAX_EVIDENCE: usize = 4;
const STRICT: &str = "set the zone's SSL/TLS mode to Full (strict), and serve only a redirect on \
                      port 80; if the site had no visitor yet, open it through the CDN and run \
                      this again";

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let listens = host.sockets.listening.iter().filter(|it| it.local.port() == HTTP);
    let mut listens = listens.filter(|it| !host.reached_by(it.local).is_empty());
    let Some(socket) = listens.next() else { return Vec::new() };
    if host.guards(HTTP) {
        return Vec::new();
    }
    let is_pulled = host.status.is_pulled(None);
    // A refused peer also shows that the CDN uses a guarded port.
    let comes = is_pulled || refused(host, aop_api::AdmissionSource::List).next().is_some();
    let from_edge = from_edge(host);
    let finding = match (from_edge.is_empty(), comes) {
        (true, true) => {
            return vec![good(
                "ssl_mode",
                "the CDN pulls from the guarded ports, not from port 80",
            )];
        }
        (true, false) => notice(
            "ssl_mode_flexible",
            "no guarded port has been pulled from, and port 80 is open: the zone's SSL/TLS mode \
             may be Flexible, which pulls from port 80 in clear text",
        )
        .cure(STRICT),
        (false, _) if is_pulled => notice(
            "ssl_mode_flexible",
            "the CDN also pulls from port 80, in clear text and around both locks: for visitors on \
             plain HTTP, or for a zone whose SSL/TLS mode is Flexible",
        )
        .cure(
            "switch on Always Use HTTPS for the zone, serve only a redirect on port 80, and set \
             every zone of this host to Full (strict)",
        ),
        (false, _) => wrong(
            "ssl_mode_flexible",
            "the CDN pulls from port 80, in clear text and around both locks, and no pull came \
             with a certificate: the zone's SSL/TLS mode is Flexible or Off",
            VisitorError::Nothing,
            STRICT,
        ),
    };
    let finding = finding.seen(format!("something listens on {}", socket.local));
    let seen =
        |address: &String| format!("{address}, which is in the list, was connected to port 80");
    vec![finding.seen_all(from_edge.iter().take(MAX_EVIDENCE).map(seen))]
}

/// The addresses in the list that are or recently were connected to port 80.
fn from_edge(host: &HostContext) -> Vec<String> {
    let Some(reading) = &host.reading else { return Vec::new() };
    let now = monotonic_seconds();
    let at_http = host.sockets.connected.iter().filter(|it| it.local.port() == HTTP);
    let remote = at_http.map(|it| it.remote.ip());
    let listed = remote.filter(|it| reading.admission.standing(*it, now) == Standing::Admitted);
    let mut listed: Vec<String> = listed.map(|it| it.to_string()).collect();
    listed.sort_unstable();
    listed.dedup();
    listed
}
