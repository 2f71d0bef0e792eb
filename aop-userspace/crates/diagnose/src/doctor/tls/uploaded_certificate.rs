//! The certificate that was uploaded to the CDN: first the verifier of each site judges the file,
//! then the doctor presents it as the edge would.

use aop_api::VisitorError;
use aop_tls::{PresentedCertificate, ProbeClient, RefusedConnection};
use aop_types::Refusal;

use super::{
    Attack, AttackedSite, cross_site_resumption,
    dial::{Attempt, AttemptAnswer},
};
use crate::doctor::{
    CertificatePair,
    finding::{CheckFinding, good, notice, untried, wrong},
};

const WITHOUT: &str =
    "needs the certificate that was uploaded to the CDN: --certificate FILE --key FILE";

/// If the attack has no target, the pair is only judged as a file.
pub(super) fn check(pair: Option<&CertificatePair>, attack: &Attack<'_>) -> Vec<CheckFinding> {
    let Some(pair) = pair else {
        return ["edge_certificate", "edge_accepted", "host_split", "resumption"]
            .map(|name| untried(name, WITHOUT))
            .into();
    };
    let file = pair.certificate.display();
    let presented = match PresentedCertificate::read(&pair.certificate, &pair.key) {
        Ok(presented) => presented,
        Err(error) => {
            let (said, cure) = (error.to_string(), "give the PEM files that you uploaded");
            return vec![wrong("edge_certificate", said, VisitorError::Nothing, cure).about(file)];
        }
    };
    if presented.is_mismatched() {
        let said = "the key does not belong to the certificate";
        let cure = "give the key of the certificate; the CDN accepts no other pair";
        let finding = wrong("edge_certificate", said, VisitorError::Tls, cure);
        return vec![finding.about(file).seen(pair.key.display().to_string())];
    }
    let judged: Vec<_> =
        attack.sites.iter().map(|it| (it, it.site.refusal_of(&presented))).collect();
    // A pair belongs to one zone; sites of other zones may have other pairs.
    let passes = judged.iter().any(|(_, refused)| refused.is_none());
    let mut findings: Vec<CheckFinding> = judged
        .iter()
        .map(|(attacked, refused)| as_a_file(attacked, refused.as_ref(), passes))
        .collect();
    let welcome = judged.iter().filter(|(_, refused)| refused.is_none()).map(|(it, _)| *it);
    let welcome: Vec<&AttackedSite<'_>> = welcome.collect();
    if attack.targets.is_empty() {
        findings.push(untried("edge_accepted", "no listener of a running aop could be tried"));
        return findings;
    }
    findings.extend(welcome.iter().flat_map(|it| presented_to(attack, it, &presented)));
    findings.push(cross_site_resumption::check(attack, &welcome, &presented));
    findings
}

fn as_a_file(
    attacked: &AttackedSite<'_>,
    refused: Option<&RefusedConnection>,
    passes: bool,
) -> CheckFinding {
    let site = attacked.site.name();
    let Some(refused) = refused else {
        return good(
            "edge_certificate",
            "the site's own verifier accepts the uploaded certificate",
        )
        .about(site);
    };
    let why = match (refused.refusal, refused.detail.is_empty()) {
        // The name says it all; the detail is wording of the library.
        (Refusal::CertificateVersion | Refusal::CaAsLeaf, _) | (_, true) => {
            refused.refusal.name().to_owned()
        }
        (_, false) => format!("{}: {}", refused.refusal, refused.detail),
    };
    if passes {
        let said = "the site refuses this certificate, but another site accepts it";
        return notice("edge_certificate", said)
            .about(site)
            .seen(why)
            .cure("nothing if the zone of this site has another certificate");
    }
    let said = "the site refuses the uploaded certificate";
    let finding =
        wrong("edge_certificate", said, VisitorError::Tls, "").with_help_of(refused.refusal);
    finding.about(site).seen(why)
}

/// Presents the certificate to the running aop. If the site relays requests, a request for another
/// host shows that the handshake was accepted and that aop keeps the hosts apart.
fn presented_to(
    attack: &Attack<'_>,
    attacked: &AttackedSite<'_>,
    presented: &PresentedCertificate,
) -> Vec<CheckFinding> {
    let Ok(client) = ProbeClient::new(Some(presented), None, None) else { return Vec::new() };
    let request = attacked.request();
    let site = attacked.site.name();
    let mut findings = Vec::new();
    for target in &attack.targets {
        let how =
            Attempt { client: client.clone(), name: Some(&attacked.host), records: None, request };
        let at = target.to.to_string();
        let answer = attack.attempt(*target, &how).answer;
        let accepted = match &answer {
            AttemptAnswer::LetIn(line) => {
                good("edge_accepted", "the uploaded certificate is let in")
                    .seen(format!("{at}: {line}"))
            }
            AttemptAnswer::Refused(how) => wrong(
                "edge_accepted",
                "the uploaded certificate is refused, although the site's files would accept it",
                VisitorError::Tls,
                "the daemon may run with older files: run `aop reload` and read its output",
            )
            .seen(format!("{at}: {how}")),
            AttemptAnswer::ClosedBeforeTls => {
                untried("edge_accepted", format!("{at}: closed before TLS"))
            }
            AttemptAnswer::Unreachable(why) => untried("edge_accepted", format!("{at}: {why}")),
        };
        findings.push(accepted.about(site));
        if let (AttemptAnswer::LetIn(line), Some(_)) = (&answer, request) {
            let split = match line.contains(" 421 ") {
                true => {
                    good("host_split", "a request for another host than the server name gets 421")
                }
                false => wrong(
                    "host_split",
                    "a request for another host than the server name is not refused",
                    VisitorError::Nothing,
                    "check also_hosts; if it is right, this is a fault of aop: please report it",
                ),
            };
            findings.push(split.about(site).seen(format!("{at}: {line}")));
        }
    }
    findings
}
