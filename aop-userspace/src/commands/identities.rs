//! `aop identities`: the client certificates that the edge presented. In a rollover it shows
//! whether the new certificate is in use and the old one no longer is.

use std::process::ExitCode;

use aop_api::{Request, RollMark, SeenIdentities, SeenIdentity, SiteIdentities};
use aop_cloudflare::OwnCertificates;
use clap::Args;

use crate::{
    arguments::{ConfigFile, Output},
    daemon,
    output::{age, date, lines, when},
};

#[derive(Args)]
pub(crate) struct IdentitiesCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    output: Output,
}

impl IdentitiesCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let identities = daemon::ask_or(&self.file.config, Request::Identities, |paths| {
            let stored = aop_daemon::stored_identities(&paths.state);
            let mut stored = stored.map_err(anyhow::Error::msg)?;
            OwnCertificates::read(&paths.state).mark(&mut stored);
            Ok(stored)
        })?;
        self.output.print(&identities, render)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(identities: &SeenIdentities) -> String {
    let mut text = Vec::new();
    if identities.sites.is_empty() {
        text.push("no client certificate seen yet".to_owned());
    }
    for site in &identities.sites {
        text.push(format!("{}: {}", site.site, summary(site)));
        text.extend(site.identities.iter().flat_map(identity_lines));
        if site.forgotten > 0 {
            text.push(format!("  {} older certificates are no longer listed", site.forgotten));
        }
    }
    lines(text)
}

fn summary(site: &SiteIdentities) -> String {
    let Some(newest) = site.newest() else { return "no client certificate seen yet".into() };
    let arrived = format!("the newest arrived {}", when(newest.first_seen));
    match site.others_last_seen() {
        None => format!("one certificate, which arrived {}", when(newest.first_seen)),
        Some(last) if last < newest.first_seen => {
            format!("{arrived}, and no other one was presented since (last {} ago)", age(last))
        }
        Some(last) => {
            format!("{arrived}, and others are still presented (last {} ago)", age(last))
        }
    }
}

fn identity_lines(identity: &SeenIdentity) -> [String; 4] {
    let SeenIdentity { subject, issuer, serial, level, spki_sha256, pulls, .. } = identity;
    let (first, last) = (when(identity.first_seen), when(identity.last_seen));
    let (from, until) = (date(identity.not_before), date(identity.not_after));
    let client_ca = identity.client_ca.as_deref().unwrap_or("an unknown client CA");
    let mark = match &identity.roll {
        None => String::new(),
        Some(RollMark::New) => ", the new one of the roll".to_owned(),
        Some(RollMark::Old) => ", an old one of the roll".to_owned(),
        Some(RollMark::Unknown(other)) => format!(", {other} in the roll"),
    };
    [
        format!("  {subject} (issuer {issuer}), serial {serial}{mark}"),
        format!("    first {first}"),
        format!("    last {last}, {pulls} pulls; valid {from} to {until}"),
        format!("    key {spki_sha256}; {level}, by {client_ca}"),
    ]
}
