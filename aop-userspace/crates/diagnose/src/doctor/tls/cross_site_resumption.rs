//! Whether a TLS session of one site can be resumed at another.

use std::sync::Arc;

use aop_api::VisitorError;
use aop_config::Resumption;
use aop_tls::{LastSession, PresentedCertificate, ProbeClient};

use super::{Attack, AttackedSite, dial::Attempt};
use crate::doctor::finding::{CheckFinding, good, untried, wrong};

/// `welcome` are the sites that accept `presented`.
pub(super) fn check(
    attack: &Attack<'_>,
    welcome: &[&AttackedSite<'_>],
    presented: &PresentedCertificate,
) -> CheckFinding {
    const NAME: &str = "resumption";
    let resumes = |attacked: &&&AttackedSite<'_>| {
        let named = |site: &&aop_config::SiteConfig| *site.name == **attacked.site.name();
        let config = attack.config.live.sites.iter().find(named);
        config.is_some_and(|site| site.rules.resumption == Resumption::Verified)
    };
    let Some(first) = welcome.iter().find(resumes) else {
        return untried(NAME, "no site that accepts the certificate resumes sessions");
    };
    let other = attack.sites.iter().find(|other| other.site.name() != first.site.name());
    let (Some(other), Some(target)) = (other, attack.targets.first()) else {
        return untried(NAME, "there is no other site to resume at");
    };
    let sessions = Arc::new(LastSession::default());
    let Ok(client) = ProbeClient::new(Some(presented), None, Some(sessions.clone())) else {
        return untried(NAME, "the TLS client for it could not be built");
    };
    let at = |attacked: &AttackedSite<'_>| {
        let (name, request) = (Some(&*attacked.host), attacked.request());
        attack.attempt(*target, &Attempt { client: client.clone(), name, records: None, request })
    };
    at(first);
    if !sessions.is_some() {
        return untried(NAME, format!("{} issued no session", first.site.name()));
    }
    let finding = match at(other).resumed {
        false => good(NAME, "a session of one site cannot be resumed at another"),
        true => wrong(
            NAME,
            "a session of one site can be resumed at another",
            VisitorError::Nothing,
            "remove resumption from the sites; this is a fault of aop: please report it",
        ),
    };
    finding.seen(format!("{} to {} at {}", first.site.name(), other.site.name(), target.to))
}
