//! `aop identities`: the client certificates that the edge presented. In a rollover it shows
//! whether the new certificate is in use and the old one no longer is.

use std::{fmt::Write, process::ExitCode};

use aop_api::{Request, SeenIdentities, SeenIdentity, SiteIdentities};
use aop_config::Config;
use aop_control::ClientError;
use clap::Args;
use jiff::Timestamp;

use super::{ConfigFile, json, print, screen::since};

#[derive(Args)]
pub(super) struct IdentitiesCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl IdentitiesCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let identities = match aop_control::ask(&paths.runtime, Request::Identities) {
            Err(ClientError::NotRunning(_)) => {
                aop_daemon::stored_identities(&paths.state).map_err(anyhow::Error::msg)?
            }
            answered => answered?,
        };
        print(&match self.json {
            true => json(&identities)?,
            false => render(&identities)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(identities: &SeenIdentities) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for site in &identities.sites {
        writeln!(text, "{}: {}", site.site, summary(site))?;
        for identity in &site.identities {
            write_identity(&mut text, identity)?;
        }
        if site.forgotten > 0 {
            writeln!(text, "  {} older certificates are no longer listed", site.forgotten)?;
        }
    }
    Ok(text)
}

fn summary(site: &SiteIdentities) -> String {
    let Some(newest) = site.newest() else { return "no client certificate seen yet".into() };
    let arrived = format!("the newest arrived {} ago", since(newest.first_seen));
    match site.others_last_seen() {
        None => format!("one certificate, which arrived {} ago", since(newest.first_seen)),
        Some(last) if last < newest.first_seen => {
            format!("{arrived}, and no other one was presented since (last {} ago)", since(last))
        }
        Some(last) => {
            format!("{arrived}, and others are still presented (last {} ago)", since(last))
        }
    }
}

fn write_identity(text: &mut String, identity: &SeenIdentity) -> std::fmt::Result {
    let SeenIdentity { subject, issuer, serial, level, spki_sha256, pulls, .. } = identity;
    let date = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    writeln!(text, "  {subject} (issuer {issuer}), serial {serial}")?;
    writeln!(
        text,
        "    first {} ago, last {} ago, {pulls} pulls; valid {} to {}",
        since(identity.first_seen),
        since(identity.last_seen),
        date(identity.not_before),
        date(identity.not_after),
    )?;
    let by = identity.client_ca.as_deref().unwrap_or("an unknown client CA");
    writeln!(text, "    key {spki_sha256}; {level}, by {by}")
}
