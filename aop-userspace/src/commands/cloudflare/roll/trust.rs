//! Lets sites of this host accept the target: `client_ca` in the configuration gets one entry more,
//! and the daemon reloads. What would not be accepted afterwards is not written.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt, fchown},
    path::Path,
};

use anyhow::Context;
use aop_api::{ReloadOutcome, ReloadResult, Request};
use aop_cloudflare::{LeafFacts, RollNext, RollRecord, RollTarget};
use aop_config::{Config, FleetConfig, with_client_ca};
use aop_control::send_request;

use super::turns::{Current, Roller};

impl Roller {
    /// Lets `sites` accept the target. `Some`: it cannot, and why.
    pub(super) fn trust(
        &mut self,
        record: &mut RollRecord,
        current: &Current,
        sites: &[String],
    ) -> anyhow::Result<Option<RollNext>> {
        if sites.is_empty() {
            return Ok(match self.reload()? {
                Ok(()) => None,
                Err(why) => Some(refused_by_daemon(&why)),
            });
        }
        let ca = match (record.target, &record.ca) {
            (RollTarget::BackToGlobal, _) => "cloudflare-global".to_owned(),
            (_, Some(ca)) => ca.display().to_string(),
            (_, None) => return Ok(Some(no_ca(sites))),
        };
        if self.unattended
            && let Some(fleet) = &current.config.live.fleet
        {
            return Ok(Some(other_origins(fleet, &ca, sites)));
        }
        let file = &self.arguments.file.config.clone();
        let mut text = current.text.clone();
        for site in sites {
            text = with_client_ca(&text, site, &ca)
                .with_context(|| format!("{}: no site {site}", file.display()))?;
        }
        let by_hand = |why: &str| RollNext::Stopped {
            why: format!("{}: {why}", file.display()),
            cure: format!(
                "add {ca:?} to client_ca of {} by hand, run `aop reload`, and run this again",
                sites.join(", ")
            ),
        };
        let config = match Config::parse(file, &text) {
            Ok(config) => config,
            Err(error) => return Ok(Some(by_hand(&error.to_string()))),
        };
        let new = Current { text, config };
        if let Some(stopped) = self.judged(record, &new, &ca)? {
            return Ok(Some(stopped));
        }
        let path = fs::canonicalize(file).with_context(|| file.display().to_string())?;
        if let Err(error) = replace(&path, new.text.as_bytes()) {
            return Ok(Some(by_hand(&format!("the file cannot be changed ({error})"))));
        }
        let added =
            format!("{}: added {ca:?} to client_ca of {}", path.display(), sites.join(", "));
        self.screen.note(&added)?;
        record.note(added);
        if let Err(why) = self.reload()? {
            replace(&path, current.text.as_bytes()).context(
                "the daemon refuses the new configuration, and the old one cannot be put back",
            )?;
            self.reload()?.ok();
            return Ok(Some(refused_by_daemon(&why)));
        }
        Ok(None)
    }

    /// Whether all sites accept the target under a configuration that is not in force yet.
    fn judged(
        &mut self,
        record: &RollRecord,
        new: &Current,
        ca: &str,
    ) -> anyhow::Result<Option<RollNext>> {
        let pem = fs::read_to_string(RollRecord::file(&self.paths.state, &record.site, "pem"));
        let leaf = pem.ok().and_then(|pem| LeafFacts::of_pem(&pem).ok());
        let sites = self.client.sites_of_target(&new.config, record)?;
        let trust = self.client.target_trust(record, leaf.as_ref(), new.with(), &sites)?;
        Ok(trust.into_iter().find_map(|it| {
            let why = it.refused?;
            Some(RollNext::Stopped {
                why: format!(
                    "the site {} would refuse the new certificate even with {ca:?} in client_ca: \
                     {why}",
                    it.site
                ),
                cure: "correct the rules of the site, or begin again (`--undo`) with another \
                       certificate"
                    .to_owned(),
            })
        }))
    }

    /// Reloads. The inner error is the reason of the daemon's refusal.
    fn reload(&mut self) -> anyhow::Result<Result<(), String>> {
        let done: ReloadResult = send_request(&self.paths.runtime, Request::Reload)?;
        Ok(match done.outcome {
            ReloadOutcome::Applied | ReloadOutcome::ChangedBack => Ok(()),
            ReloadOutcome::Refused | ReloadOutcome::Unknown => {
                Err(done.error.unwrap_or_else(|| "it gives no reason".to_owned()))
            }
        })
    }
}

fn refused_by_daemon(why: &str) -> RollNext {
    RollNext::Stopped {
        why: format!("the daemon did not reload, and the old configuration is in force: {why}"),
        cure: "correct that, and run this again".to_owned(),
    }
}

/// The other origins of the zone might not accept the new leaf, and nobody looks on.
fn other_origins(fleet: &FleetConfig, ca: &str, sites: &[String]) -> RollNext {
    RollNext::Stopped {
        why: format!(
            "client_ca of {} does not have {ca:?}, and other hosts of the fleet {} may lack it too: \
             they would refuse the new certificate",
            sites.join(", "),
            fleet.prefix
        ),
        cure: "add it on every host, and reload (`aop fleet reload`); the next pass goes on".into(),
    }
}

fn no_ca(sites: &[String]) -> RollNext {
    RollNext::Stopped {
        why: format!("{}: this certificate is not accepted here", sites.join(", ")),
        cure: "add its client CA to client_ca by hand, run `aop reload`, and run this again".into(),
    }
}

/// Writes `text` in place of the file, whole or not at all, with the same owner and permissions.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let before = fs::metadata(path)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = File::options().write(true).create_new(true).open(&temporary)?;
        file.write_all(text)?;
        file.set_permissions(before.permissions())?;
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().inspect_err(|_| {
        fs::remove_file(&temporary).ok();
    })
}
