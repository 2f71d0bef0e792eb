//! Converts the client certificates in the counters to the documents that show them, and back.

use aop_api::{IdentityLevel, SeenIdentities, SeenIdentity, SiteIdentities, timestamp};
use aop_terminator::{CountersSnapshot, IdentitySighting};
use aop_tls::{CaScope, IssuingCa};
use jiff::Timestamp;

/// The number of identities in one report. Each site gets an equal share.
const MAX_IDENTITIES: usize = 10_000;

/// The latest identities of each of `sites`, up to its share.
pub(super) fn to_document(counters: &CountersSnapshot, sites: &[String]) -> SeenIdentities {
    let share = (MAX_IDENTITIES / sites.len().max(1)).max(1);
    let site = |site: &String| {
        let seen = counters.identities.iter().filter(|sighting| *sighting.site == **site);
        let mut identities: Vec<SeenIdentity> = seen.map(identity).collect();
        let forgotten = counters.forgotten.iter().find(|(name, _)| **name == **site);
        let left_out = identities.len().saturating_sub(share) as u64;
        identities.truncate(share);
        SiteIdentities {
            site: site.clone(),
            identities,
            forgotten: forgotten.map_or(0, |(_, count)| *count) + left_out,
        }
    };
    SeenIdentities { sites: sites.iter().map(site).collect() }
}

fn identity(sighting: &IdentitySighting) -> SeenIdentity {
    let IdentitySighting { site, identity, issuing_ca, first_seen, last_seen, pulls } =
        sighting.clone();
    let level = issuing_ca.as_ref().map_or(IdentityLevel::NoCa, |ca| match ca.scope {
        CaScope::CloudflareGlobal => IdentityLevel::Global,
        CaScope::Own => IdentityLevel::Own,
    });
    SeenIdentity {
        site: site.to_string(),
        subject: identity.subject,
        issuer: identity.issuer,
        spki_sha256: identity.spki_sha256,
        serial: identity.serial,
        not_before: timestamp(identity.not_before),
        not_after: timestamp(identity.not_after),
        level,
        client_ca: issuing_ca.map(|issuing_ca| issuing_ca.name),
        first_seen: timestamp(first_seen),
        last_seen: timestamp(last_seen),
        pulls,
        roll: None,
    }
}

/// The identities of `sites`, with which the counters of a new terminator start.
pub(super) fn from_document(identities: SeenIdentities, sites: &[String]) -> Vec<IdentitySighting> {
    let known = identities.sites.into_iter().filter(|known| sites.contains(&known.site));
    known.flat_map(|site| site.identities).map(sighting).collect()
}

fn sighting(identity: SeenIdentity) -> IdentitySighting {
    let scope = match identity.level {
        IdentityLevel::Global => Some(CaScope::CloudflareGlobal),
        IdentityLevel::Own => Some(CaScope::Own),
        IdentityLevel::NoCa | IdentityLevel::Unknown(_) => None,
    };
    let issuing_ca = scope.zip(identity.client_ca).map(|(scope, name)| IssuingCa { name, scope });
    IdentitySighting {
        site: identity.site.into(),
        issuing_ca,
        first_seen: seconds(identity.first_seen),
        last_seen: seconds(identity.last_seen),
        pulls: identity.pulls,
        identity: aop_tls::PeerIdentity {
            subject: identity.subject,
            issuer: identity.issuer,
            serial: identity.serial,
            spki_sha256: identity.spki_sha256,
            not_before: seconds(identity.not_before),
            not_after: seconds(identity.not_after),
        },
    }
}

fn seconds(time: Timestamp) -> u64 {
    time.as_second().try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(site: &str, serial: &str, issuing_ca: Option<IssuingCa>) -> IdentitySighting {
        IdentitySighting {
            site: site.into(),
            identity: aop_tls::PeerIdentity {
                subject: "CN=edge".into(),
                issuer: "CN=ca".into(),
                serial: serial.into(),
                spki_sha256: "00".into(),
                not_before: 1,
                not_after: 2_000_000_000,
            },
            issuing_ca,
            first_seen: 10,
            last_seen: 20,
            pulls: 3,
        }
    }

    #[test]
    fn identities_are_restored_for_the_sites_that_still_exist() {
        let issuing_ca =
            IssuingCa { name: "cloudflare-global".into(), scope: CaScope::CloudflareGlobal };
        let counters = CountersSnapshot {
            identities: vec![seen("a.test", "01", Some(issuing_ca)), seen("b.test", "02", None)],
            forgotten: vec![("b.test".into(), 5)],
            ..CountersSnapshot::default()
        };
        let sites = ["a.test".to_owned(), "b.test".to_owned()];
        let identities = to_document(&counters, &sites);
        assert_eq!(identities.sites[1].forgotten, 5);
        assert_eq!(from_document(identities.clone(), &sites), counters.identities);
        assert_eq!(from_document(identities, &sites[1..]), counters.identities[1..]);
    }

    #[test]
    fn a_thousand_sites_get_ten_identities_each_and_the_rest_is_counted() {
        let sites: Vec<String> = (0..1000).map(|n| format!("{n}.test")).collect();
        let both = ["0.test", "999.test"].into_iter();
        let counters = CountersSnapshot {
            identities: both
                .flat_map(|site| (0..12).map(move |n| seen(site, &n.to_string(), None)))
                .collect(),
            ..CountersSnapshot::default()
        };
        let identities = to_document(&counters, &sites);
        for site in [&identities.sites[0], &identities.sites[999]] {
            assert_eq!((site.identities.len(), site.forgotten), (10, 2));
            assert_eq!(site.identities[0].serial, "0");
        }
    }
}
