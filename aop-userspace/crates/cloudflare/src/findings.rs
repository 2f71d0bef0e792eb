//! Decides where Cloudflare, this host and what arrives disagree. Pure: it asks nobody.

mod certificates;
#[cfg(test)]
mod tests;

use aop_api::{
    CertificateAtCloudflare, CloudflareFinding, DeploymentStatus as Deployment, FindingOutcome,
    HostAtCloudflare, IdentityLevel, PresentedLevel, SeenIdentity, SiteAtCloudflare, TrustedCa,
    ZoneAtCloudflare,
};
use jiff::{SignedDuration, Timestamp};

/// The name of Cloudflare's global CA in the configuration.
const GLOBAL: &str = "cloudflare-global";
/// The common name of Cloudflare's global CA.
const GLOBAL_SUBJECT: &str = "CN=origin-pull.cloudflare.net";
/// A certificate that was presented this short ago is still on its way.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
/// A client CA of which nothing came for this long is not in use.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Every disagreement about `site`, the wrong ones first: those that it has already, and the new.
#[must_use]
pub fn findings(site: &SiteAtCloudflare, now: Timestamp) -> Vec<CloudflareFinding> {
    let mut found = Findings(site.findings.clone());
    for zone in &site.zones {
        about_zone(&mut found, zone);
        certificates::about_certificates(&mut found, zone, now);
        for host in &zone.hosts {
            about_host(&mut found, site, zone, host);
        }
    }
    about_trust(&mut found, site, now);
    about_arrivals(&mut found, site, now);
    let mut found = merged(found.0);
    found.sort_by_key(|finding| finding.result);
    found
}

/// The same finding about several hosts is one.
fn merged(found: Vec<CloudflareFinding>) -> Vec<CloudflareFinding> {
    let mut merged: Vec<CloudflareFinding> = Vec::new();
    for finding in found {
        let same = |it: &&mut CloudflareFinding| it.name == finding.name && it.said == finding.said;
        match merged.iter_mut().find(same) {
            Some(had) => had.about += &format!(", {}", finding.about),
            None => merged.push(finding),
        }
    }
    merged
}

/// The level whose certificate Cloudflare should present to `host`: that of the host, of the zone,
/// the global one, each if it is switched on and at the edges.
pub(crate) fn presented_level(zone: &ZoneAtCloudflare, host: &HostAtCloudflare) -> PresentedLevel {
    if zone.ssl_mode.presents_certificates() == Some(false) || host.enabled == Some(false) {
        return PresentedLevel::Nothing;
    }
    let of_host = host.associated.as_deref().filter(|_| host.enabled == Some(true));
    let is_active = |it: &&CertificateAtCloudflare| it.status == Deployment::Active;
    let mut active = zone.certificates.iter().filter(is_active);
    if host.association_status == Some(Deployment::Active)
        && active.clone().any(|it| Some(it.id.as_str()) == of_host)
    {
        PresentedLevel::Host
    } else if zone.zone_on && active.any(|it| it.level == PresentedLevel::Zone) {
        PresentedLevel::Zone
    } else if zone.global_on {
        PresentedLevel::Global
    } else {
        PresentedLevel::Nothing
    }
}

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<CloudflareFinding>);

impl Findings {
    fn wrong(&mut self, name: &str, about: &str, said: String, cure: impl Into<String>) {
        self.add(FindingOutcome::Wrong, name, about, said, cure.into());
    }

    fn told(&mut self, name: &str, about: &str, said: String, cure: impl Into<String>) {
        self.add(FindingOutcome::Told, name, about, said, cure.into());
    }

    fn add(&mut self, result: FindingOutcome, name: &str, about: &str, said: String, cure: String) {
        let (name, about) = (name.to_owned(), about.to_owned());
        self.0.push(CloudflareFinding { name, result, about, said, cure });
    }
}

fn about_zone(found: &mut Findings, zone: &ZoneAtCloudflare) {
    let name = &zone.zone;
    if zone.status != "active" {
        found.told(
            "zone_inactive",
            name,
            format!("Cloudflare does not serve this zone: its status is {}", zone.status),
            "finish the zone's setup in the dashboard (name servers)",
        );
    }
    match zone.ssl_mode.presents_certificates() {
        Some(true) => {}
        Some(false) => found.wrong(
            "ssl_mode",
            name,
            format!(
                "the SSL mode is {}: Cloudflare talks plain HTTP to origins, and never presents a \
                 certificate",
                zone.ssl_mode
            ),
            "set the SSL mode to Full (strict)",
        ),
        None => found.told(
            "ssl_mode_unknown",
            name,
            format!("this aop does not know the SSL mode {}", zone.ssl_mode),
            "look whether Cloudflare presents certificates in this mode",
        ),
    }
    let of_zone = |it: &&CertificateAtCloudflare| it.level == PresentedLevel::Zone;
    let active: Vec<&CertificateAtCloudflare> = zone
        .certificates
        .iter()
        .filter(of_zone)
        .filter(|it| it.status == Deployment::Active)
        .collect();
    match (zone.zone_on, active.as_slice()) {
        (true, []) => {
            let instead = match zone.global_on {
                true => "the global one may be presented instead",
                false => "no certificate is presented",
            };
            found.wrong(
                "zone_without_certificate",
                name,
                format!("the zone level is on without an active certificate: {instead}"),
                "upload a leaf to the zone and wait until it is active, or switch the level off",
            );
        }
        (false, [_, ..]) => found.told(
            "zone_switched_off",
            name,
            "the zone has an active certificate, but the zone level is off".to_owned(),
            "switch the zone level on, once this host trusts the certificate's CA; or delete it",
        ),
        (true, [_, _, ..]) => found.told(
            "two_active",
            name,
            format!(
                "{} certificates of the zone are active ({}); Cloudflare presents the one that was \
                 deployed last, and does not say which",
                active.len(),
                active.iter().map(|it| certificates::short(it)).collect::<Vec<_>>().join(", ")
            ),
            "wait until only the newer one arrives (`aop identities`), then delete the older one",
        ),
        (true, [_]) | (false, []) => {}
    }
}

fn about_host(
    found: &mut Findings,
    site: &SiteAtCloudflare,
    zone: &ZoneAtCloudflare,
    host: &HostAtCloudflare,
) {
    let name = &host.host;
    match (host.enabled, host.associated.as_deref()) {
        (Some(false), _) => found.wrong(
            "host_disabled",
            name,
            "its association is disabled: Cloudflare presents no certificate to this host at all, \
             whatever the zone has"
                .to_owned(),
            "enable the association, or void it (\"enabled\": null) to use the zone's certificate",
        ),
        (Some(true), Some(id)) if host.presents != PresentedLevel::Host => {
            let state = zone.certificates.iter().find(|it| it.id == id);
            let state = state.map_or("deleted".to_owned(), |it| it.status.to_string());
            let link = host.association_status.as_ref().map_or("", |status| status.as_str());
            let said = format!(
                "it is associated with the certificate {id}, which is {state}; the association is \
                 {link}: the level below is used"
            );
            let coming =
                |text: &str| ["initializing", "pending_deployment", "active"].contains(&text);
            if coming(&state) && coming(link) {
                found.told("host_deploying", name, said, "wait some minutes, and look again");
            } else {
                let cure = "associate the host with an active certificate, or void the association";
                found.wrong("host_without_certificate", name, said, cure);
            }
        }
        (Some(true) | None, _) => {}
    }
    let speaks_tls = zone.ssl_mode.presents_certificates() != Some(false);
    match host.presents {
        PresentedLevel::Global if !site.trusts.iter().any(is_global) => found.wrong(
            "global_untrusted",
            name,
            "Cloudflare presents its global certificate, and client_ca does not have \
             cloudflare-global: every pull is refused"
                .to_owned(),
            "add \"cloudflare-global\" to client_ca and reload; or upload a certificate of your own",
        ),
        // A disabled association and an empty zone level have findings of their own.
        PresentedLevel::Nothing if speaks_tls && host.enabled.is_none() && !zone.zone_on => {
            found.wrong(
                "nothing_on",
                name,
                "no level is on: Cloudflare presents no certificate to this host".to_owned(),
                "switch the global certificate on, or upload one of your own and switch that on",
            );
        }
        PresentedLevel::Nothing
        | PresentedLevel::Global
        | PresentedLevel::Zone
        | PresentedLevel::Host
        | PresentedLevel::Unknown(_) => {}
    }
}

/// Client CAs that nobody uses.
fn about_trust(found: &mut Findings, site: &SiteAtCloudflare, now: Timestamp) {
    let presents = |level: &PresentedLevel| {
        site.zones.iter().flat_map(|zone| &zone.hosts).any(|host| host.presents == *level)
    };
    for ca in &site.trusts {
        let arrives = |it: &&SeenIdentity| it.client_ca.as_deref() == Some(&ca.client_ca);
        let arrived = site.identities.iter().find(arrives).map(|identity| identity.last_seen);
        if arrived.is_some_and(|seen| now.duration_since(seen) < DAY) {
            continue;
        }
        if is_global(ca) {
            if !presents(&PresentedLevel::Global) && !site.zones.is_empty() {
                found.told(
                    "ca_unused",
                    &ca.client_ca,
                    "this site trusts Cloudflare's global certificate, which every customer of \
                     Cloudflare can have presented, and no host of it needs that"
                        .to_owned(),
                    "take it out of client_ca, and reload",
                );
            }
            continue;
        }
        let signed = |it: &CertificateAtCloudflare| {
            it.issuers.iter().any(|issuer| ca.subjects.contains(issuer))
        };
        let used = site.zones.iter().flat_map(|zone| &zone.certificates).any(signed);
        if !used && !site.zones.is_empty() {
            found.told(
                "ca_unused",
                &ca.client_ca,
                "no certificate at Cloudflare is of this client CA, and none arrived for a day"
                    .to_owned(),
                "if nobody else pulls with it, take it out of client_ca, and reload",
            );
        }
    }
}

/// Certificates that arrive although Cloudflare should not present them.
fn about_arrivals(found: &mut Findings, site: &SiteAtCloudflare, now: Timestamp) {
    let recent = |it: &&SeenIdentity| now.duration_since(it.last_seen) < RECENT;
    let listed = |it: &SeenIdentity| {
        site.zones.iter().flat_map(|zone| &zone.certificates).any(|certificate| {
            certificate.serial.as_deref() == Some(&it.serial)
                && certificate.spki_sha256.as_deref() == Some(&it.spki_sha256)
        })
    };
    let presents_global = site.zones.iter().flat_map(|zone| &zone.hosts);
    let presents_global = presents_global.clone().any(|it| it.presents == PresentedLevel::Global);
    for identity in site.identities.iter().filter(recent) {
        let expected = match identity.level {
            IdentityLevel::Global => presents_global,
            IdentityLevel::Own | IdentityLevel::NoCa | IdentityLevel::Unknown(_) => {
                listed(identity)
            }
        };
        if !expected && !site.zones.is_empty() {
            found.told(
                "unexpected_arrival",
                &identity.subject,
                format!(
                    "this certificate (serial {}) arrived within the last hour, and Cloudflare \
                     should not present it to this site now",
                    identity.serial
                ),
                "after a change, wait until it comes no more; else look who has its key",
            );
        }
    }
}

fn is_global(ca: &TrustedCa) -> bool {
    ca.client_ca == GLOBAL || ca.subjects.iter().any(|subject| subject.contains(GLOBAL_SUBJECT))
}
