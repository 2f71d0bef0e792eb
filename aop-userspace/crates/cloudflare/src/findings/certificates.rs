//! Findings about single certificates at Cloudflare.

use aop_api::{
    CertificateAtCloudflare, DeploymentStatus as Deployment, PresentedLevel, ZoneAtCloudflare,
    utc_text,
};
use aop_types::Refusal;
use jiff::{SignedDuration, Timestamp};

use super::Findings;

/// A certificate that ends within this time should be replaced.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn about_certificates(found: &mut Findings, zone: &ZoneAtCloudflare, now: Timestamp) {
    for certificate in &zone.certificates {
        about_status(found, certificate);
        let in_use = is_in_use(zone, certificate);
        about_expiry(found, certificate, in_use, now);
        about_refusal(found, certificate, in_use);
        if in_use && certificate.last_seen.is_none() && certificate.refused_as.is_none() {
            found.told(
                "not_seen",
                &short(certificate),
                "Cloudflare calls it active, and no peer has presented it here yet".to_owned(),
                "wait some minutes and some visitors; until then, keep what came before",
            );
        }
    }
}

/// Whether Cloudflare may present it to a host of the site now. Of several active certificates of
/// the zone, each may be the one.
fn is_in_use(zone: &ZoneAtCloudflare, certificate: &CertificateAtCloudflare) -> bool {
    certificate.status == Deployment::Active
        && zone.hosts.iter().any(|host| {
            host.presents == certificate.level
                && (certificate.level == PresentedLevel::Zone
                    || host.associated.as_deref() == Some(&certificate.id))
        })
}

fn about_status(found: &mut Findings, certificate: &CertificateAtCloudflare) {
    let about = short(certificate);
    match &certificate.status {
        Deployment::Active | Deployment::Deleted => {}
        Deployment::Initializing | Deployment::PendingDeployment => found.told(
            "deploying",
            &about,
            format!("it is {}: on its way to the edges", certificate.status),
            "wait some minutes, and look again",
        ),
        Deployment::PendingDeletion => found.told(
            "deleting",
            &about,
            "it is pending_deletion: the edges may still present it".to_owned(),
            "wait some minutes, and look again",
        ),
        Deployment::DeploymentTimedOut => found.wrong(
            "deployment_timed_out",
            &about,
            "it did not reach the edges".to_owned(),
            "delete it, and upload it again",
        ),
        Deployment::DeletionTimedOut => found.told(
            "deletion_timed_out",
            &about,
            "it was to be deleted, and is still at the edges".to_owned(),
            "delete it again",
        ),
        Deployment::Unknown(status) => found.told(
            "status_unknown",
            &about,
            format!("this aop does not know its status {status}"),
            "look at it in the dashboard",
        ),
    }
}

fn about_expiry(
    found: &mut Findings,
    certificate: &CertificateAtCloudflare,
    in_use: bool,
    now: Timestamp,
) {
    let Some(end) = certificate.expires_on.filter(|_| in_use) else { return };
    let about = short(certificate);
    let cure = "upload a new leaf, wait until it arrives (`aop identities`), and delete this one";
    if end <= now {
        let said = format!(
            "it expired on {}, and Cloudflare goes on presenting it: this host refuses it",
            utc_text(end)
        );
        found.wrong("expired", &about, said, cure);
    } else if end.duration_since(now) < SOON {
        let days = end.duration_since(now).as_hours() / 24;
        found.told("expires_soon", &about, format!("it expires in {days} days"), cure);
    }
}

fn about_refusal(found: &mut Findings, certificate: &CertificateAtCloudflare, in_use: bool) {
    let Some(reason) = &certificate.refused_as else { return };
    let refusal = Refusal::from_name(reason);
    // An expired one that is presented has a finding of its own.
    if refusal == Some(Refusal::Expired) {
        return;
    }
    let about = short(certificate);
    let detail = certificate.refused_detail.as_deref().filter(|detail| !detail.is_empty());
    let detail = detail.map_or(String::new(), |detail| format!(" ({detail})"));
    let cure = refusal.and_then(Refusal::help).unwrap_or("correct the files of client_ca and crl");
    match in_use {
        true => found.wrong(
            "leaf_refused",
            &about,
            format!("Cloudflare presents it, and this host refuses it: {reason}{detail}"),
            cure,
        ),
        false => found.told(
            "leaf_would_be_refused",
            &about,
            format!("once Cloudflare presents it, this host will refuse it: {reason}{detail}"),
            cure,
        ),
    }
}

/// A certificate in a few words: its subject, and the first letters of its identifier.
pub(super) fn short(certificate: &CertificateAtCloudflare) -> String {
    let id: String = certificate.id.chars().take(8).collect();
    certificate
        .subject
        .as_ref()
        .map_or(format!("certificate {id}"), |name| format!("{name} [{id}]"))
}
