//! Collects what is known about a site: from Cloudflare, from the configuration, from the daemon.

use std::collections::BTreeMap;

use aop_api::{
    CertificateAtCloudflare, CloudflareFinding, DeploymentStatus, FindingOutcome, HostAtCloudflare,
    PresentedLevel, SeenIdentities, SeenIdentity, SiteAtCloudflare, TrustedCa, ZoneAtCloudflare,
};
use aop_config::{CertificateRules, Config, Host, HostPattern, RequiredKey, SiteConfig};
use aop_tls::{FileRole, SiteFiles};

use crate::{
    ApiError, CertificateLevel, Client, HostAssociation, LeafVerdict, UploadedCertificate, Zone,
    ZoneId,
    error::{NO_ZONE_CURE, WhyText},
    findings::presented_level,
};

/// Collects one site after the other. Facts that several sites share are asked for once.
#[derive(Debug)]
pub struct SiteCollector<'a> {
    client: &'a mut Client,
    config: &'a Config,
    /// The text of the configuration.
    text: &'a str,
    seen: &'a SeenIdentities,
    zones: BTreeMap<ZoneId, ZoneRecord>,
}

/// Cloudflare's words about a zone, whichever site asks.
#[derive(Clone, Debug)]
struct ZoneRecord {
    ssl_mode: aop_api::SslMode,
    global_on: bool,
    zone_on: bool,
    certificates: Vec<(CertificateLevel, UploadedCertificate)>,
}

impl<'a> SiteCollector<'a> {
    /// `text` is that of `config`; `seen` are the certificates that arrived at this host.
    pub fn new(
        client: &'a mut Client,
        config: &'a Config,
        text: &'a str,
        seen: &'a SeenIdentities,
    ) -> Self {
        Self { client, config, text, seen, zones: BTreeMap::new() }
    }

    /// Collects the facts about `site`. Of its findings only hosts in no zone are there:
    /// [`findings()`](crate::findings()) adds the others. `also` is a host that a star of the site
    /// covers.
    ///
    /// # Errors
    /// A call fails.
    pub fn site(
        &mut self,
        site: &SiteConfig,
        also: Option<&Host>,
    ) -> Result<SiteAtCloudflare, ApiError> {
        let seen = self.seen.sites.iter().find(|it| it.site == site.name);
        let mut identities: Vec<SeenIdentity> = seen.map_or(Vec::new(), |it| it.identities.clone());
        identities.sort_by_key(|identity| std::cmp::Reverse(identity.last_seen));
        let (mut zones, mut findings) = (BTreeMap::<String, ZoneAtCloudflare>::new(), Vec::new());
        for pattern in &site.hosts {
            let (HostPattern::Exact(host) | HostPattern::Below(host)) = pattern;
            self.add_host(&mut zones, &mut findings, host, pattern)?;
        }
        if let Some(host) = also {
            self.add_host(&mut zones, &mut findings, host, &HostPattern::Exact(host.clone()))?;
        }
        let mut zones: Vec<ZoneAtCloudflare> = zones.into_values().collect();
        for zone in &mut zones {
            zone.certificates = self.certificates(site, zone, &identities)?;
            let presents: Vec<PresentedLevel> =
                zone.hosts.iter().map(|host| presented_level(zone, host)).collect();
            for (host, level) in zone.hosts.iter_mut().zip(presents) {
                host.presents = level;
            }
        }
        let (trusts, requires) = (trusted(site), requirements(&site.rules));
        let site = site.name.clone();
        Ok(SiteAtCloudflare { site, zones, trusts, requires, identities, findings })
    }

    /// Adds `pattern`, whose zone is that of `host`.
    fn add_host(
        &mut self,
        zones: &mut BTreeMap<String, ZoneAtCloudflare>,
        findings: &mut Vec<CloudflareFinding>,
        host: &Host,
        pattern: &HostPattern,
    ) -> Result<(), ApiError> {
        let zone = match self.client.find_zone(host) {
            Ok(zone) => zone,
            Err(ApiError::NoZone { tried, .. }) => {
                findings.push(no_zone(pattern, &tried));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let association = match pattern {
            HostPattern::Exact(host) => self.client.association(&zone.id, host)?,
            // Cloudflare associates single hosts, and lists none.
            HostPattern::Below(_) => None,
        };
        let record = self.record(&zone)?;
        let into = zones.entry(zone.name.clone()).or_insert_with(|| ZoneAtCloudflare {
            zone: zone.name,
            id: zone.id.as_str().to_owned(),
            status: zone.status,
            ssl_mode: record.ssl_mode,
            global_on: record.global_on,
            zone_on: record.zone_on,
            certificates: Vec::new(),
            hosts: Vec::new(),
        });
        let host = described(pattern, association);
        if !into.hosts.iter().any(|had| had.host == host.host) {
            into.hosts.push(host);
        }
        Ok(())
    }

    fn record(&mut self, zone: &Zone) -> Result<ZoneRecord, ApiError> {
        if let Some(known) = self.zones.get(&zone.id) {
            return Ok(known.clone());
        }
        let mut certificates = Vec::new();
        for level in [CertificateLevel::Zone, CertificateLevel::Host] {
            let listed = self.client.certificates(&zone.id, level)?;
            certificates.extend(listed.into_iter().map(|certificate| (level, certificate)));
        }
        let record = ZoneRecord {
            ssl_mode: self.client.ssl_mode(&zone.id)?,
            global_on: self.client.global_switch(&zone.id)?,
            zone_on: self.client.zone_switch(&zone.id)?,
            certificates,
        };
        self.zones.insert(zone.id.clone(), record.clone());
        Ok(record)
    }

    /// The certificates of the zone that may be presented to the hosts of `site`, and whether it
    /// would refuse them.
    fn certificates(
        &mut self,
        site: &SiteConfig,
        zone: &ZoneAtCloudflare,
        identities: &[SeenIdentity],
    ) -> Result<Vec<CertificateAtCloudflare>, ApiError> {
        let known = self.zones.values().zip(self.zones.keys());
        let known = known.filter(|(_, id)| id.as_str() == zone.id);
        let associated = |it: &UploadedCertificate| {
            zone.hosts.iter().any(|host| host.associated.as_deref() == Some(it.id.as_str()))
        };
        let listed: Vec<(CertificateLevel, UploadedCertificate)> = known
            .flat_map(|(record, _)| record.certificates.clone())
            .filter(|(level, it)| *level == CertificateLevel::Zone || associated(it))
            .filter(|(_, it)| it.status != DeploymentStatus::Deleted)
            .collect();
        let leaves = listed.iter().filter_map(|(_, it)| it.leaf.clone()).collect();
        let mut verdicts = self.client.judge(self.config, self.text, site, leaves)?.into_iter();
        let certificate = |(level, it): (CertificateLevel, UploadedCertificate)| {
            let verdict = it.leaf.as_ref().and_then(|_| verdicts.next());
            certificate(level, it, verdict, identities)
        };
        Ok(listed.into_iter().map(certificate).collect())
    }
}

fn certificate(
    level: CertificateLevel,
    uploaded: UploadedCertificate,
    verdict: Option<LeafVerdict>,
    identities: &[SeenIdentity],
) -> CertificateAtCloudflare {
    let UploadedCertificate { id, status, uploaded_on, expires_on, leaf } = uploaded;
    let (refused_as, refused_detail) = match verdict {
        Some(LeafVerdict::Refused { reason, detail }) => (Some(reason), Some(detail)),
        // No certificate can be accepted by rules that cannot be read.
        Some(LeafVerdict::NoRules(why)) => (Some("no_rules".to_owned()), Some(why)),
        Some(LeafVerdict::Accepted) | None => (None, None),
    };
    let mut described = CertificateAtCloudflare {
        id: id.as_str().to_owned(),
        level: match level {
            CertificateLevel::Zone => PresentedLevel::Zone,
            CertificateLevel::Host => PresentedLevel::Host,
        },
        status,
        uploaded_on,
        expires_on,
        subject: None,
        issuers: Vec::new(),
        serial: None,
        spki_sha256: None,
        sha256: None,
        refused_as,
        refused_detail,
        last_seen: None,
    };
    if let Some(leaf) = leaf {
        let same =
            |it: &&SeenIdentity| it.spki_sha256 == leaf.spki_sha256 && it.serial == leaf.serial;
        described.last_seen = identities.iter().find(same).map(|identity| identity.last_seen);
        // The certificate itself counts before what is told about it.
        described.expires_on = Some(leaf.not_after);
        described.subject = Some(leaf.subject);
        described.issuers = leaf.issuers;
        described.serial = Some(leaf.serial);
        described.spki_sha256 = Some(leaf.spki_sha256);
        described.sha256 = Some(leaf.sha256);
    }
    described
}

fn described(pattern: &HostPattern, association: Option<HostAssociation>) -> HostAtCloudflare {
    let association = association.filter(|association| association.enabled.is_some());
    HostAtCloudflare {
        host: pattern.to_string(),
        enabled: association.as_ref().and_then(|association| association.enabled),
        association_status: association.as_ref().map(|association| association.status.clone()),
        associated: association.map(|association| association.certificate.as_str().to_owned()),
        presents: PresentedLevel::Nothing,
    }
}

fn no_zone(pattern: &HostPattern, tried: &[WhyText]) -> CloudflareFinding {
    let tried: Vec<&str> = tried.iter().map(|name| &**name).collect();
    CloudflareFinding {
        name: "no_zone".to_owned(),
        result: FindingOutcome::Wrong,
        about: pattern.to_string(),
        said: format!("this token sees no zone {}", tried.join(" or ")),
        cure: NO_ZONE_CURE.to_owned(),
    }
}

fn trusted(site: &SiteConfig) -> Vec<TrustedCa> {
    let files = aop_tls::inspect(site, &SiteFiles::on_disk()).into_iter();
    let cas = files.filter(|file| file.role == FileRole::ClientCa);
    cas.map(|file| TrustedCa {
        client_ca: file.file,
        subjects: file.certificates.into_iter().map(|it| it.identity.subject).collect(),
    })
    .collect()
}

/// The rules beside the client CAs, each as `key value`.
fn requirements(rules: &CertificateRules) -> Vec<String> {
    let san = rules.san.iter().map(|name| format!("require_san {name}"));
    let cn = rules.cn.iter().map(|name| format!("require_cn {name}"));
    let key = rules.key.iter().map(|key| match key {
        RequiredKey::MlDsa => "require_key ml-dsa".to_owned(),
    });
    let pins = (!rules.pins.is_empty()).then(|| format!("spki_pins, {}", rules.pins.len()));
    let lists = &rules.revocation.files;
    let lists = (!lists.is_empty()).then(|| format!("crl, {}", lists.len()));
    san.chain(cn).chain(key).chain(pins).chain(lists).collect()
}
