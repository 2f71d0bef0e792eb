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
use crate::arguments::ConfigFile;

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

/// The command that goes on with a roll under the configuration `file`. Its other options are in
/// the record.
pub(super) fn command(record: &RollRecord, file: &ConfigFile) -> String {
    let verb = match (record.undo, record.target) {
        (Some(_), _) => "roll --undo",
        (None, RollTarget::Zone) => "roll --level zone",
        (None, RollTarget::Host) => "roll --level host",
        (None, RollTarget::BackToZone) => "back --level zone",
        (None, RollTarget::BackToGlobal) => "back --level global",
    };
    line(verb, record, file)
}

/// The command that takes a roll back.
fn undo_command(record: &RollRecord, file: &ConfigFile) -> String {
    line("roll --undo", record, file)
}

fn line(verb: &str, record: &RollRecord, file: &ConfigFile) -> String {
    format!("aop cloudflare {verb} --site {}{}", record.site, file.option())
}

/// The way on after a failure that does not pass by itself.
pub(super) fn cure(record: &RollRecord, error: &anyhow::Error, file: &ConfigFile) -> String {
    use RefusalCure::{BadCertificate, NotALeaf};
    let undo = undo_command(record, file);
    match error.downcast_ref() {
        _ if record.undo.is_some() || record.has_reached(RollStep::Settled) => {
            "Correct that, and run the same command again".to_owned()
        }
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
        let mut record = match self.taken_over(&current, &site.name)? {
            Some(record) => taken_up(record, wanted, &self.arguments.file)?,
            None if wanted == Wanted::Undo => {
                bail!("{}: there is no roll under way, so there is nothing to undo", site.name)
            }
            None => self.new_record(&current, site, wanted)?,
        };
        // A command that goes on with a roll need not repeat them.
        if let Some(hosts) = self.arguments.wait_for {
            record.wait_for = hosts;
        }
        if let Some(settle) = self.arguments.settle {
            record.settle_ms = u64::try_from(settle.as_millis()).unwrap_or(u64::MAX);
        }
        if !self.arguments.dry_run {
            record.store(&self.paths.state)?;
        }
        Ok(record)
    }

    /// The roll in progress of `site`, also if the site had another name when it began.
    pub(super) fn taken_over(
        &self,
        current: &Current,
        site: &str,
    ) -> anyhow::Result<Option<RollRecord>> {
        let site = current.site(site)?;
        let mut found = RollRecord::running(&self.paths.state, &current.config, site)?;
        if let Some(record) = found.as_mut().filter(|it| it.site != site.name) {
            record.note(format!("the site was called {} when this roll began", record.site));
            match self.arguments.dry_run {
                true => record.site.clone_from(&site.name),
                false => record.rename(&self.paths.state, &site.name)?,
            }
        }
        Ok(found)
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
        self.no_other_roll(current, site, &zone.id)?;
        let mut before = self.client.before_roll(&zone.id, site)?;
        let associated = before.associations.iter().any(|it| it.enabled.is_some());
        let of_zone = before.associations.iter().any(|it| it.enabled.is_none())
            || exact_hosts(site).len() < site.hosts.len();
        let target = target(wanted, associated);
        if target == RollTarget::Zone {
            // The hosts with a certificate of their own keep it.
            before.certificates.retain(|it| it.level == CertificateLevel::Zone);
        }
        let hosts = site.hosts.iter().map(HostPattern::to_string).collect();
        let mut record =
            RollRecord::new(site.name.clone(), hosts, (zone.id, zone.name), target, before);
        check(&record, site, associated, of_zone)?;
        if record.target == RollTarget::Zone && associated {
            record.note(format!(
                "the hosts with a certificate of their own keep it ({}). To go back from it, take this \
                 roll back, and run `aop cloudflare back --level zone`",
                associated_hosts(&record)
            ));
        }
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
        current: &Current,
        site: &SiteConfig,
        zone: &aop_cloudflare::ZoneId,
    ) -> anyhow::Result<()> {
        for other in RollRecord::load_all(&self.paths.state)? {
            let other = other?;
            if other.site == site.name || other.zone != *zone || other.is_done() {
                continue;
            }
            let cure = match current.config.live.site(&other.site) {
                Some(_) => format!("run `{}` first", command(&other, &self.arguments.file)),
                None => format!(
                    "no site has that host any more. Look at `aop cloudflare status`, and move {} \
                     away",
                    RollRecord::file(&self.paths.state, &other.site, "json").display()
                ),
            };
            bail!("a roll of the site {} in the same zone is not at its end: {cure}", other.site);
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

/// The hosts that are associated with a certificate.
fn associated_hosts(record: &RollRecord) -> String {
    let hosts = record.before.associations.iter().filter(|it| it.enabled.is_some());
    hosts.map(|it| it.host.as_str()).collect::<Vec<_>>().join(", ")
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

/// Whether this roll makes sense for what is there: hosts that are `associated` with a certificate
/// of their own, and hosts to which that of the zone is presented.
fn check(
    record: &RollRecord,
    site: &SiteConfig,
    associated: bool,
    of_zone: bool,
) -> anyhow::Result<()> {
    let name = &site.name;
    match record.target {
        RollTarget::Zone if associated && !of_zone => bail!(
            "all hosts of the site {name} have a certificate of their own, which takes precedence over \
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
fn taken_up(
    mut record: RollRecord,
    wanted: Wanted,
    file: &ConfigFile,
) -> anyhow::Result<RollRecord> {
    let is_settled = record.has_reached(RollStep::Settled);
    if is_settled {
        record.undo = None;
    }
    if wanted == Wanted::Undo {
        if is_settled {
            bail!(
                "the old certificate is deleted, or about to be: there is nothing to go back to. \
                 Let the roll end: `{}`. Then begin a new one, or `aop cloudflare back`",
                command(&record, file)
            );
        }
        record.undo.get_or_insert(Timestamp::now());
    } else if record.undo.is_some() || !wanted.is(record.target) {
        bail!(
            "another roll of the site {} is not at its end. Go on with it: `{}`{}",
            record.site,
            command(&record, file),
            match record.undo {
                None if !is_settled => {
                    format!("; or take it back: `{}`", undo_command(&record, file))
                }
                Some(_) | None => String::new(),
            }
        );
    }
    Ok(record)
}
