//! Monitors: addresses of firewall.extra, which come by without a certificate.

use aop_api::Finding;
use aop_tls::Refusal;

use super::{refused, sighting};
use crate::doctor::{
    Patient,
    finding::{More, visitor, wrong},
};

pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let bare = Refusal::CertificateRequired.name();
    let monitors = refused(patient, "extra").filter(|peer| peer.reason == bare);
    let finding = |peer| {
        wrong(
            "monitor_without_certificate",
            "an address of firewall.extra comes without a certificate: a monitor that sees the origin \
             as down",
            visitor::NOTHING,
            "Cloudflare's load balancer: switch Simulate Zone on in the monitor, so that it presents the \
             zone's certificate; a monitor of your own: let it ask /readyz (monitor.listen), or give it \
             a certificate of the client CA",
        )
        .seen(sighting(peer))
    };
    monitors.map(|peer| finding(peer).about(peer.address)).collect()
}
