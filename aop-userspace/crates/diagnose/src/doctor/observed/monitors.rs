//! Monitors in firewall.extra that present no certificate.

use aop_api::VisitorError;
use aop_types::Refusal;

use super::{describe, refused};
use crate::doctor::{
    HostContext,
    finding::{CheckFinding, wrong},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let bare = Refusal::CertificateRequired.name();
    let monitors =
        refused(host, aop_api::AdmissionSource::Extra).filter(|peer| peer.reason == bare);
    let finding = |peer| {
        wrong(
            "monitor_without_certificate",
            "a monitor in firewall.extra gets no answer, because it presents no certificate; \
             visitors are not affected",
            VisitorError::Nothing,
            "Cloudflare's load balancer: switch on Simulate Zone in the monitor, so that it \
             presents the zone's certificate; a monitor of your own: let it pull through the CDN, \
             or give it a certificate of the client CA; on this host: ask /readyz (monitor.listen)",
        )
        .seen(describe(peer))
    };
    monitors.map(|peer| finding(peer).about(peer.address)).collect()
}
