//! The begin of a roll: its record is made from what is at Cloudflare, or taken up again.

use anyhow::{Context, bail};
use aop_api::{Request, Status};
use aop_cloudflare::{
    ApiError, CertificateLevel, RefusalCure, RollRecord, RollStep, RollTarget, exact_hosts,
};
use aop_config::{HostPattern, SiteConfig};
use aop_control::send_request;
use jiff::Timestamp;

use super::turns::{Current, Roller};

/// The most hosts that one certificate can have at Cloudflare.
const MOST_HOSTS: usize = 100;

/// The wish of the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A new certificate at the level that the site has.
    Own,
    Zone,
    Host,
    BackToZone,
    BackToGlobal,
    Undo,
}

impl Wanted {
    fn is(self, target: RollTarget) -> bool {
        match self {
            Self::Own => matches!(target, RollTarget::Zone | RollTarget::Host),
            Self::Zone => target == RollTarget::Zone,
            Self::Host => target == RollTarget::Host,
            Self::BackToZone => target == RollTarget::BackToZone,
            Self::BackToGlobal => target == RollTarget::BackToGlobal,
            Self::Undo => true,
        }
    }
}

/// The command that goes on with a roll.
pub(super) fn command(record: &RollRecord) -> String {
    let verb = match (record.undo, record.target) {
        (Some(_), _) => "roll --undo",
        (None, RollTarget::Zone) => "roll --level zone",
        (None, RollTarget::Host) => "roll --level host",
        (None, RollTarget::BackToZone) => "back --level zone",
        (None, RollTarget::BackToGlobal) => "back --level global",
    };
    format!("aop cloudflare {verb} --site {}", record.site)
}

/// The way on after a failure that does not pass by itself.
pub(super) fn cure(record: &RollRecord, error: &anyhow::Error) -> String {
    use RefusalCure::{BadCertificate, NotALeaf};
    let undo = format!("aop cloudflare roll --undo --site {}", record.site);
    match error.downcast_ref() {
        _ if record.undo.is_some() => "Correct that, and run the same command again".to_owned(),
        Some(ApiError::Refused { cure: BadCertificate | NotALeaf, .. }) => format!(
            "The roll stays as it is, with this certificate: take it back with `{undo}`, and begin \
             another one with another certificate"
        ),
        _ => format!(
            "The roll stays as it is: correct that and run the same command again, or take the \
             roll back with `{undo}`"
        ),
    }
}

impl Roller {
    pub(super) fn begin(&mut self, wanted: Wanted) -> anyhow::Result<RollRecord> {
        let current = Current::read(&self.arguments.file.config)?;
        let site = current.site(&self.arguments.site)?;
        let found = RollRecord::load(&self.paths.state, &site.name)?;
        let mut record = match found.filter(|it| !it.is_done()) {
            Some(record) => taken_up(record, wanted)?,
            None if wanted == Wanted::Undo => {
                bail!("{}: there is no roll under way, so there is nothing to undo", site.name)
            }
            None => self.new_record(&current, site, wanted)?,
        };
        record.wait_for = self.arguments.wait_for;
        record.settle_ms = u64::try_from(self.arguments.settle.as_millis()).unwrap_or(u64::MAX);
        if !self.arguments.dry_run {
            record.store(&self.paths.state)?;
        }
        Ok(record)
    }

    fn new_record(
        &mut self,
        current: &Current,
        site: &SiteConfig,
        wanted: Wanted,
    ) -> anyhow::Result<RollRecord> {
        let zone = match self.client.zone_of_site(site)? {
            Ok(zone) => zone,
            Err(zones) => bail!(
                "the hosts of the site {} are in several zones ({zones}): make a site for each",
                site.name
            ),
        };
        self.no_other_roll(site, &zone.id)?;
        let before = self.client.before_roll(&zone.id, site)?;
        let associated = before.associations.iter().any(|it| it.enabled.is_some());
        let target = target(wanted, associated);
        let hosts = site.hosts.iter().map(HostPattern::to_string).collect();
        let mut record =
            RollRecord::new(site.name.clone(), hosts, (zone.id, zone.name), target, before);
        check(&record, site, associated)?;
        self.choose_replaced(&mut record, current)?;
        let status: Status = send_request(&self.paths.runtime, Request::Status)
            .context("a roll needs the daemon, which sees what the edge presents")?;
        if status.modes.pending.is_some() {
            record.note(
                "`aop mode` waits to be confirmed. The roll does not change modes, and a mode that \
                 expires does not change the roll"
                    .to_owned(),
            );
        }
        Ok(record)
    }

    /// Two rolls of certificates of one zone would delete each other's.
    fn no_other_roll(
        &self,
        site: &SiteConfig,
        zone: &aop_cloudflare::ZoneId,
    ) -> anyhow::Result<()> {
        for other in RollRecord::load_all(&self.paths.state)? {
            let other = other?;
            if other.site != site.name && other.zone == *zone && !other.is_done() {
                bail!(
                    "a roll of the site {} in the same zone is not at its end: run `{}` first",
                    other.site,
                    command(&other)
                );
            }
        }
        Ok(())
    }

    /// Decides which certificates the roll deletes at its end.
    fn choose_replaced(
        &mut self,
        record: &mut RollRecord,
        current: &Current,
    ) -> anyhow::Result<()> {
        if record.target == RollTarget::BackToZone {
            let sites = self.client.sites_of_target(&current.config, record)?;
            let with = current.with();
            if let Some((id, leaf)) = self.client.zone_leaf(&record.zone, with, &sites)? {
                (record.uploaded, record.leaf) = (Some(id), Some(leaf));
                record.reach(RollStep::Made, Timestamp::now());
            }
        }
        let mut certificates = record.before.certificates.clone();
        for it in &mut certificates {
            it.replaced = match (record.target, it.level) {
                (RollTarget::Zone | RollTarget::BackToGlobal, CertificateLevel::Zone) => true,
                // A leaf that is at Cloudflare already takes no other's place there.
                (RollTarget::BackToZone, CertificateLevel::Zone) => record.leaf.is_none(),
                (RollTarget::Host, CertificateLevel::Zone) => false,
                (_, CertificateLevel::Host) => {
                    let user = self.client.other_user(&current.config, record, &it.id)?;
                    if let Some(host) = &user {
                        record.note(format!(
                            "the certificate {} stays at Cloudflare: {host} is associated with it, \
                             too",
                            it.id
                        ));
                    }
                    user.is_none()
                }
            };
        }
        record.before.certificates = certificates;
        Ok(())
    }
}

fn target(wanted: Wanted, associated: bool) -> RollTarget {
    match wanted {
        Wanted::Own if associated => RollTarget::Host,
        Wanted::Own | Wanted::Zone | Wanted::Undo => RollTarget::Zone,
        Wanted::Host => RollTarget::Host,
        Wanted::BackToZone => RollTarget::BackToZone,
        Wanted::BackToGlobal => RollTarget::BackToGlobal,
    }
}

/// Whether this roll makes sense for what is there.
fn check(record: &RollRecord, site: &SiteConfig, associated: bool) -> anyhow::Result<()> {
    let name = &site.name;
    match record.target {
        RollTarget::Zone if associated => bail!(
            "hosts of the site {name} have a certificate of their own, which takes precedence over \
             the zone's. Replace that one: `--level host`; or go back to the zone's: `aop \
             cloudflare back --level zone --site {name}`"
        ),
        RollTarget::Host if exact_hosts(site).is_empty() => bail!(
            "the site {name} has stars alone, and Cloudflare associates single hosts: add the \
             hosts to the site, or use `--level zone`"
        ),
        RollTarget::Host if exact_hosts(site).len() > MOST_HOSTS => bail!(
            "the site {name} has more than {MOST_HOSTS} hosts, and one certificate at Cloudflare \
             takes no more: divide the site, or use `--level zone`"
        ),
        RollTarget::BackToZone if !associated => bail!(
            "no host of the site {name} has a certificate of its own at Cloudflare, so there is \
             nothing to go back from"
        ),
        RollTarget::BackToGlobal if !associated && !record.before.zone_on => bail!(
            "neither the zone nor a host of the site {name} has its own certificate switched on, so \
             there is nothing to go back from"
        ),
        RollTarget::Zone | RollTarget::Host | RollTarget::BackToZone | RollTarget::BackToGlobal => {
            Ok(())
        }
    }
}

/// A roll that is not at its end.
fn taken_up(mut record: RollRecord, wanted: Wanted) -> anyhow::Result<RollRecord> {
    if wanted == Wanted::Undo {
        record.undo.get_or_insert(Timestamp::now());
    } else if record.undo.is_some() || !wanted.is(record.target) {
        bail!(
            "another roll of the site {} is not at its end. Go on with it: `{}`{}",
            record.site,
            command(&record),
            match record.undo {
                Some(_) => String::new(),
                None => format!(
                    "; or take it back: `aop cloudflare roll --undo --site {}`",
                    record.site
                ),
            }
        );
    }
    Ok(record)
}
