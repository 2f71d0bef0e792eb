//! Each disagreement, from a site where all is well and one change.

use aop_api::{SslMode, timestamp};

use super::*;

const NOW: u64 = 1_800_000_000;
const CA: &str = "/etc/aop/pull-ca.pem";

fn now() -> Timestamp {
    timestamp(NOW)
}

fn certificate(id: &str, level: PresentedLevel) -> CertificateAtCloudflare {
    CertificateAtCloudflare {
        id: id.to_owned(),
        level,
        status: Deployment::Active,
        uploaded_on: None,
        expires_on: Some(timestamp(NOW + 90 * 86_400)),
        subject: Some(format!("CN={id}")),
        issuers: vec!["CN=pull CA".to_owned()],
        serial: Some(id.to_owned()),
        spki_sha256: Some("00".to_owned()),
        sha256: None,
        refused_as: None,
        refused_detail: None,
        last_seen: Some(timestamp(NOW - 60)),
    }
}

fn identity(serial: &str, level: IdentityLevel, client_ca: &str, ago: u64) -> SeenIdentity {
    SeenIdentity {
        site: "example.com".to_owned(),
        subject: format!("CN={serial}"),
        issuer: "CN=pull CA".to_owned(),
        spki_sha256: "00".to_owned(),
        serial: serial.to_owned(),
        not_before: timestamp(1),
        not_after: timestamp(NOW * 2),
        level,
        client_ca: Some(client_ca.to_owned()),
        first_seen: timestamp(NOW - ago),
        last_seen: timestamp(NOW - ago),
        pulls: 1,
        roll: None,
    }
}

/// The zone level is on with one certificate, which arrives and is trusted.
fn good() -> SiteAtCloudflare {
    SiteAtCloudflare {
        site: "example.com".to_owned(),
        zones: vec![ZoneAtCloudflare {
            zone: "example.com".to_owned(),
            id: "z".to_owned(),
            status: "active".to_owned(),
            ssl_mode: SslMode::Strict,
            global_on: false,
            zone_on: true,
            certificates: vec![certificate("a", PresentedLevel::Zone)],
            hosts: vec![HostAtCloudflare {
                host: "example.com".to_owned(),
                associated: None,
                enabled: None,
                association_status: None,
                presents: PresentedLevel::Nothing,
            }],
        }],
        trusts: vec![TrustedCa {
            client_ca: CA.to_owned(),
            subjects: vec!["CN=pull CA".to_owned()],
        }],
        requires: Vec::new(),
        identities: vec![identity("a", IdentityLevel::Own, CA, 60)],
        findings: Vec::new(),
    }
}

/// The names of the findings of a good site with this change.
fn found(change: impl FnOnce(&mut SiteAtCloudflare, &mut ZoneAtCloudflare)) -> Vec<String> {
    let mut site = good();
    let mut zone = site.zones.remove(0);
    change(&mut site, &mut zone);
    let levels: Vec<_> = zone.hosts.iter().map(|host| presented_level(&zone, host)).collect();
    for (host, level) in zone.hosts.iter_mut().zip(levels) {
        host.presents = level;
    }
    site.zones.push(zone);
    let found = findings(&site, now());
    assert!(found.is_sorted_by_key(|finding| finding.result), "{found:?}");
    for finding in &found {
        assert!(!finding.said.is_empty() && !finding.cure.is_empty(), "{finding:?}");
    }
    let mark = |it: CloudflareFinding| match it.result {
        FindingOutcome::Wrong => format!("wrong {}", it.name),
        FindingOutcome::Told | FindingOutcome::Untried | FindingOutcome::Good => it.name,
    };
    found.into_iter().map(mark).collect()
}

fn trusts_global(site: &mut SiteAtCloudflare) {
    site.trusts = vec![TrustedCa { client_ca: GLOBAL.to_owned(), subjects: Vec::new() }];
    site.identities = vec![identity("g", IdentityLevel::Global, GLOBAL, 60)];
}

fn associated(zone: &mut ZoneAtCloudflare, enabled: bool) {
    zone.certificates.push(certificate("h", PresentedLevel::Host));
    zone.hosts[0].associated = Some("h".to_owned());
    zone.hosts[0].enabled = Some(enabled);
    zone.hosts[0].association_status = Some(Deployment::Active);
}

#[test]
fn where_all_agree_nothing_is_found() {
    assert!(found(|_, _| ()).is_empty());
    assert!(
        found(|site, zone| {
            (zone.zone_on, zone.global_on) = (false, true);
            zone.certificates.clear();
            trusts_global(site);
        })
        .is_empty()
    );
    assert!(found(|_, zone| associated(zone, true)).is_empty());
}

#[test]
fn each_mistake_in_the_zone_is_named() {
    for mode in [SslMode::Off, SslMode::Flexible] {
        assert_eq!(found(|_, zone| zone.ssl_mode = mode), ["wrong ssl_mode"]);
    }
    for mode in [SslMode::Full, SslMode::Strict, SslMode::OriginPull] {
        assert!(found(|_, zone| zone.ssl_mode = mode).is_empty());
    }
    let new = SslMode::Unknown("new".to_owned());
    assert_eq!(found(|_, zone| zone.ssl_mode = new), ["ssl_mode_unknown"]);
    assert_eq!(found(|_, zone| zone.status = "pending".to_owned()), ["zone_inactive"]);
    let without = found(|_, zone| zone.certificates[0].status = Deployment::PendingDeployment);
    assert_eq!(without, ["wrong zone_without_certificate", "deploying"]);
    assert_eq!(found(|_, zone| zone.zone_on = false), ["wrong nothing_on", "zone_switched_off"]);
    let two = found(|_, zone| zone.certificates.push(certificate("b", PresentedLevel::Zone)));
    assert_eq!(two, ["two_active"]);
}

#[test]
fn each_mistake_of_a_host_is_named() {
    let disabled = found(|_, zone| associated(zone, false));
    assert_eq!(disabled, ["wrong host_disabled"]);
    let status = |of_certificate: Deployment, of_association: Deployment| {
        found(|_, zone| {
            associated(zone, true);
            zone.certificates[1].status = of_certificate;
            zone.hosts[0].association_status = Some(of_association);
        })
    };
    use Deployment::{Active, DeploymentTimedOut, Initializing, PendingDeployment};
    assert_eq!(status(Active, PendingDeployment), ["host_deploying"]);
    assert_eq!(status(Initializing, Active), ["deploying", "host_deploying"]);
    assert_eq!(
        status(DeploymentTimedOut, Active),
        ["wrong deployment_timed_out", "wrong host_without_certificate"]
    );
    let deleted = found(|_, zone| {
        associated(zone, true);
        zone.certificates.pop();
    });
    assert_eq!(deleted, ["wrong host_without_certificate"]);
}

#[test]
fn each_mistake_with_a_certificate_is_named() {
    let certificate = |change: fn(&mut CertificateAtCloudflare)| {
        found(|_, zone| change(&mut zone.certificates[0]))
    };
    assert_eq!(certificate(|it| it.expires_on = Some(timestamp(NOW))), ["wrong expired"]);
    assert_eq!(
        certificate(|it| it.expires_on = Some(timestamp(NOW + 29 * 86_400))),
        ["expires_soon"]
    );
    assert!(certificate(|it| it.expires_on = Some(timestamp(NOW + 31 * 86_400))).is_empty());
    let refused = certificate(|it| it.refused_as = Some("ca_as_leaf".to_owned()));
    assert_eq!(refused, ["wrong leaf_refused"]);
    assert_eq!(certificate(|it| it.last_seen = None), ["not_seen"]);
    let unused = found(|_, zone| {
        associated(zone, true);
        zone.certificates[0].refused_as = Some("unknown_ca".to_owned());
        zone.certificates[0].last_seen = None;
    });
    assert_eq!(unused, ["leaf_would_be_refused"], "the host's takes precedence");
    let status = |status: Deployment| {
        found(|_, zone| {
            zone.certificates.push(super::tests::certificate("b", PresentedLevel::Zone));
            zone.certificates[1].status = status;
        })
    };
    assert_eq!(status(Deployment::DeploymentTimedOut), ["wrong deployment_timed_out"]);
    assert_eq!(status(Deployment::DeletionTimedOut), ["deletion_timed_out"]);
    assert_eq!(status(Deployment::PendingDeletion), ["deleting"]);
    assert_eq!(status(Deployment::Unknown("x".to_owned())), ["status_unknown"]);
}

#[test]
fn a_client_ca_that_does_not_fit_is_named() {
    let untrusted = found(|_, zone| {
        (zone.zone_on, zone.global_on) = (false, true);
        zone.certificates.clear();
    });
    assert_eq!(untrusted, ["wrong global_untrusted", "unexpected_arrival"]);
    let unused = |subject: &str, ago| {
        found(|site, _| {
            site.trusts.push(TrustedCa {
                client_ca: "old.pem".to_owned(),
                subjects: vec![subject.to_owned()],
            });
            site.identities.push(identity("old", IdentityLevel::Own, "old.pem", ago));
        })
    };
    assert_eq!(unused("CN=old CA", 86_400), ["ca_unused"]);
    assert!(unused("CN=old CA", 3600).is_empty(), "it came within the day");
    assert!(unused("CN=pull CA", 86_400).is_empty(), "a certificate is of it");
    let global = |name: &str, subject: &str| {
        found(|site, _| {
            let subjects = vec![subject.to_owned()];
            site.trusts.push(TrustedCa { client_ca: name.to_owned(), subjects });
        })
    };
    assert_eq!(global(GLOBAL, ""), ["ca_unused"]);
    assert_eq!(global("cloudflare.pem", "O=x, CN=origin-pull.cloudflare.net"), ["ca_unused"]);
}

#[test]
fn a_certificate_that_should_not_arrive_is_named() {
    let arrives = |level, serial: &str, ago| {
        found(|site, _| site.identities.push(identity(serial, level, CA, ago)))
    };
    assert_eq!(arrives(IdentityLevel::Own, "b", 3599), ["unexpected_arrival"]);
    assert!(arrives(IdentityLevel::Own, "b", 3600).is_empty());
    assert!(arrives(IdentityLevel::Own, "a", 0).is_empty());
    assert_eq!(arrives(IdentityLevel::Global, "g", 0), ["unexpected_arrival"]);
}

#[test]
fn a_finding_of_the_collection_stays() {
    let no_zone = CloudflareFinding {
        name: "no_zone".to_owned(),
        result: FindingOutcome::Wrong,
        about: "example.net".to_owned(),
        said: "x".to_owned(),
        cure: "y".to_owned(),
    };
    assert_eq!(found(|site, _| site.findings.push(no_zone)), ["wrong no_zone"]);
}
