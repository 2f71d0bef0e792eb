//! Reads the facts of a roll, and carries out what changes something at Cloudflare.

use std::{fs, path::Path};

use aop_api::{DeploymentStatus, SeenIdentities};
use aop_config::{Config, Host, HostPattern, SiteConfig};
use aop_tls::{FileRole, SiteFiles};

use super::{
    facts::{RollFacts, SiteTrust, stays},
    global_certificate::refusal_of_global,
    record::{HostBefore, KnownCertificate, RollBefore, RollLeaf, RollRecord, RollTarget},
    report::RollReport,
    step::RollAction,
};
use crate::{
    ApiError, Call, CertificateAndKey, CertificateId, CertificateLevel, Client, LeafFacts,
    LeafVerdict, UploadedCertificate, Zone, ZoneId,
};

/// The configuration that facts are held to.
#[derive(Clone, Copy, Debug)]
pub struct ConfigText<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Its text.
    pub text: &'a str,
}

impl Client {
    /// The zone that has all hosts of `site`.
    ///
    /// # Errors
    /// A call fails. `Ok(Err(_))`: the hosts are in several zones, which are named.
    pub fn zone_of_site(&mut self, site: &SiteConfig) -> Result<Result<Zone, String>, ApiError> {
        let mut found: Option<Zone> = None;
        for pattern in &site.hosts {
            let (HostPattern::Exact(host) | HostPattern::Below(host)) = pattern;
            let zone = self.find_zone(host)?;
            match &found {
                Some(first) if first.id != zone.id => {
                    return Ok(Err(format!("{} and {}", first.name, zone.name)));
                }
                Some(_) => {}
                None => found = Some(zone),
            }
        }
        Ok(found.ok_or_else(|| "none".to_owned()))
    }

    /// The sites to which the target may be presented: for a certificate of the zone, or the global
    /// one, each with a host in that zone.
    ///
    /// # Errors
    /// A call fails.
    pub fn sites_of_target<'a>(
        &mut self,
        config: &'a Config,
        record: &RollRecord,
    ) -> Result<Vec<&'a SiteConfig>, ApiError> {
        let mut sites = Vec::new();
        for site in &config.live.sites {
            let of_zone = site.name == record.site
                || (record.target != RollTarget::Host && self.is_in(site, &record.zone)?);
            if of_zone {
                sites.push(site);
            }
        }
        Ok(sites)
    }

    fn is_in(&mut self, site: &SiteConfig, zone: &ZoneId) -> Result<bool, ApiError> {
        for pattern in &site.hosts {
            let (HostPattern::Exact(host) | HostPattern::Below(host)) = pattern;
            match self.find_zone(host) {
                Ok(found) if found.id == *zone => return Ok(true),
                Ok(_) | Err(ApiError::NoZone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The state of Cloudflare before a roll of `site`.
    ///
    /// # Errors
    /// A call fails.
    pub fn before_roll(
        &mut self,
        zone: &ZoneId,
        site: &SiteConfig,
    ) -> Result<RollBefore, ApiError> {
        let mut associations = Vec::new();
        for (host, now) in self.associations(zone, exact_hosts(site))? {
            associations.push(HostBefore {
                host: host.to_string(),
                enabled: now.as_ref().and_then(|it| it.enabled),
                certificate: now.map(|it| it.certificate),
            });
        }
        let mut certificates = Vec::new();
        for level in [CertificateLevel::Zone, CertificateLevel::Host] {
            let used = |it: &&UploadedCertificate| {
                level == CertificateLevel::Zone
                    || associations.iter().any(|host| host.certificate.as_ref() == Some(&it.id))
            };
            let listed = self.certificates(zone, level)?;
            let listed = listed.iter().filter(|it| stays(it)).filter(used);
            certificates.extend(listed.map(|it| KnownCertificate::of(level, it, false)));
        }
        Ok(RollBefore {
            global_on: self.global_switch(zone)?,
            zone_on: self.zone_switch(zone)?,
            certificates,
            associations,
        })
    }

    /// A host of another site that is associated with this certificate.
    ///
    /// # Errors
    /// A call fails.
    pub fn other_user(
        &mut self,
        config: &Config,
        record: &RollRecord,
        id: &CertificateId,
    ) -> Result<Option<String>, ApiError> {
        for site in config.live.sites.iter().filter(|it| it.name != record.site) {
            if !self.is_in(site, &record.zone)? {
                continue;
            }
            for host in exact_hosts(site) {
                let association = match self.association(&record.zone, &host) {
                    Err(error) if error.is_gone() => None,
                    answered => answered?,
                };
                let association = association.filter(|it| it.enabled.is_some());
                if association.is_some_and(|it| it.certificate == *id) {
                    return Ok(Some(host.to_string()));
                }
            }
        }
        Ok(None)
    }

    /// A certificate of the zone that all `sites` accept and the edges have: the newest of them.
    ///
    /// # Errors
    /// A call fails.
    pub fn zone_leaf(
        &mut self,
        zone: &ZoneId,
        with: ConfigText<'_>,
        sites: &[&SiteConfig],
    ) -> Result<Option<(CertificateId, RollLeaf)>, ApiError> {
        let mut listed = self.certificates(zone, CertificateLevel::Zone)?;
        listed.sort_by_key(|it| std::cmp::Reverse(it.uploaded_on));
        for it in listed.into_iter().filter(|it| it.status == DeploymentStatus::Active) {
            let Some(leaf) = it.leaf else { continue };
            let mut accepted = true;
            for site in sites {
                accepted &= self.refusal(with, site, &leaf)?.is_none();
            }
            if accepted {
                return Ok(Some((it.id, RollLeaf::from(&leaf))));
            }
        }
        Ok(None)
    }

    /// Why `site` would refuse `leaf`; `None` if it would accept it.
    ///
    /// # Errors
    /// The process broke.
    pub fn refusal(
        &mut self,
        with: ConfigText<'_>,
        site: &SiteConfig,
        leaf: &LeafFacts,
    ) -> Result<Option<String>, ApiError> {
        let verdicts = self.judge(with.config, with.text, site, vec![leaf.clone()])?;
        Ok(match verdicts.into_iter().next() {
            Some(LeafVerdict::Accepted) => None,
            Some(LeafVerdict::Refused { reason, detail }) => Some(format!("{reason}: {detail}")),
            Some(LeafVerdict::NoRules(why)) => Some(why),
            None => Some("it gave no verdict".to_owned()),
        })
    }

    /// Whether each site accepts the target of `record`.
    ///
    /// # Errors
    /// The process broke.
    pub fn target_trust(
        &mut self,
        record: &RollRecord,
        leaf: Option<&LeafFacts>,
        with: ConfigText<'_>,
        sites: &[&SiteConfig],
    ) -> Result<Vec<SiteTrust>, ApiError> {
        let mut trust = Vec::new();
        for site in sites {
            let refused = match (record.target, leaf) {
                (RollTarget::BackToGlobal, _) => refusal_of_global(site),
                (_, Some(leaf)) => self.refusal(with, site, leaf)?,
                (_, None) => continue,
            };
            trust.push(SiteTrust { site: site.name.clone(), refused });
        }
        Ok(trust)
    }

    /// The facts for the next decision.
    ///
    /// # Errors
    /// A call fails.
    pub fn roll_facts(
        &mut self,
        state: &Path,
        record: &RollRecord,
        with: ConfigText<'_>,
        seen: &SeenIdentities,
    ) -> Result<RollFacts, ApiError> {
        let zone = &record.zone;
        let mut certificates = Vec::new();
        for level in [CertificateLevel::Zone, CertificateLevel::Host] {
            let listed = self.certificates(zone, level)?;
            certificates.extend(listed.into_iter().map(|it| (level, it)));
        }
        let shows = |id: &CertificateId| certificates.iter().any(|(_, it)| it.id == *id);
        let is_listed = record.uploaded.as_ref().is_none_or(shows);
        // A list may lag behind; a question about one certificate does not.
        let replaced = record.before.certificates.iter().filter(|it| it.replaced);
        let known = replaced.map(|it| (it.level, &it.id));
        let ours = record.uploaded.iter().chain(&record.dropped);
        let ours = ours.filter_map(|id| Some((record.level()?, id)));
        for (level, id) in known.chain(ours) {
            let now = self.certificate(zone, level, id)?;
            certificates.retain(|(_, it)| it.id != *id);
            certificates.extend(now.map(|it| (level, it)));
        }
        let hosts = record.before.associations.iter().filter_map(|it| it.host.parse().ok());
        let associations = self.associations(zone, hosts.collect())?;
        let sites = self.sites_of_target(with.config, record)?;
        let leaf = leaf_facts(state, record, &certificates);
        let trust = self.target_trust(record, leaf.as_ref(), with, &sites)?;
        let of_sites = seen.sites.iter().filter(|it| sites.iter().any(|site| site.name == it.site));
        Ok(RollFacts {
            ssl_mode: self.ssl_mode(zone)?,
            global_on: self.global_switch(zone)?,
            zone_on: self.zone_switch(zone)?,
            identities: of_sites.flat_map(|it| it.identities.clone()).collect(),
            reports: RollReport::load_all(state, &record.site),
            certificates,
            is_listed,
            associations,
            trust,
        })
    }

    /// Carries out a call that an action stands for.
    ///
    /// # Errors
    /// The call fails. A certificate that is gone already is no error.
    pub fn carry_out(&mut self, call: Call) -> Result<Option<UploadedCertificate>, ApiError> {
        match call {
            Call::SetGlobal { zone, on } => self.set_global(&zone, on).map(|_| None),
            Call::SetZone { zone, on } => self.set_zone(&zone, on).map(|_| None),
            Call::Delete { zone, level, id } => self.delete(&zone, level, &id).map(|()| None),
            Call::Associate { zone, hosts } => self.associate(&zone, hosts).map(|()| None),
            Call::Upload { zone, level, pair } => self.upload(&zone, level, pair).map(Some),
            Call::VerifyToken
            | Call::Zones { .. }
            | Call::SslMode { .. }
            | Call::GlobalSwitch { .. }
            | Call::ZoneSwitch { .. }
            | Call::Certificates { .. }
            | Call::Certificate { .. }
            | Call::Association { .. } => Ok(None),
        }
    }
}

impl RollAction {
    /// The call of the API; `None` for what is done on this host alone. `pair` is what an upload
    /// sends.
    #[must_use]
    pub fn call(&self, record: &RollRecord, pair: Option<CertificateAndKey>) -> Option<Call> {
        let zone = record.zone.clone();
        Some(match self {
            Self::MakeLeaf | Self::Trust(_) => return None,
            Self::Upload => Call::Upload { zone, level: record.level()?, pair: pair? },
            Self::Drop(id) => Call::Delete { zone, level: record.level()?, id: id.clone() },
            Self::SwitchGlobal(on) => Call::SetGlobal { zone, on: *on },
            Self::SwitchZone(on) => Call::SetZone { zone, on: *on },
            Self::Associate(hosts) => Call::Associate { zone, hosts: hosts.clone() },
            Self::DeleteOld(level, id) => Call::Delete { zone, level: *level, id: id.clone() },
        })
    }
}

/// The hosts that can be associated: Cloudflare takes no star.
#[must_use]
pub fn exact_hosts(site: &SiteConfig) -> Vec<Host> {
    let exact = site.hosts.iter().filter_map(|pattern| match pattern {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Below(_) => None,
    });
    exact.collect()
}

/// The leaf of the record: from the file beside it, or as Cloudflare has it.
fn leaf_facts(
    state: &Path,
    record: &RollRecord,
    certificates: &[(CertificateLevel, UploadedCertificate)],
) -> Option<LeafFacts> {
    let leaf = record.leaf.as_ref()?;
    let file = fs::read_to_string(RollRecord::file(state, &record.site, "pem")).ok();
    let of_file = file.and_then(|text| LeafFacts::of_pem(&text).ok());
    let listed = certificates.iter().filter_map(|(_, it)| it.leaf.clone());
    of_file.into_iter().chain(listed).find(|it| leaf.is(it))
}

/// The client CAs of `site` that no certificate of the facts needs, as the configuration has them.
#[must_use]
pub fn unused_client_cas(site: &SiteConfig, record: &RollRecord, facts: &RollFacts) -> Vec<String> {
    let to_global = record.target == RollTarget::BackToGlobal;
    let issuers: Vec<&String> = facts
        .certificates
        .iter()
        .filter(|(_, it)| stays(it) && !to_global)
        .filter_map(|(_, it)| it.leaf.as_ref())
        .flat_map(|leaf| &leaf.issuers)
        .collect();
    let files = aop_tls::inspect(site, &SiteFiles::on_disk()).into_iter();
    let cas = files.filter(|file| file.role == FileRole::ClientCa);
    let unused = cas.filter(|file| {
        let global = file.file == "cloudflare-global";
        let signed = file.certificates.iter().any(|it| issuers.contains(&&it.identity.subject));
        if global { !to_global } else { !signed }
    });
    unused.map(|file| file.file).collect()
}
