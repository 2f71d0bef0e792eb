//! `aop cloudflare status`: asks Cloudflare and the daemon, and prints where they and the
//! configuration disagree.

use std::process::ExitCode;

use anyhow::bail;
use aop_api::{CloudflareReport, FindingOutcome, IdentitiesFrom, Request, SeenIdentities};
use aop_cloudflare::{Client, SiteCollector, find_token, findings};
use aop_config::{Config, Host, SiteConfig};
use aop_control::ClientError;
use aop_sandbox::{Account, Launcher};
use clap::Args;
use jiff::Timestamp;

use super::page;
use crate::{
    arguments::{ConfigFile, Output},
    output::Colours,
};

#[derive(Args)]
pub(super) struct CloudflareStatusCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Only the site of this host, and this host in particular
    #[arg(long, value_name = "HOST")]
    site: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl CloudflareStatusCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = &self.file.config;
        let text = Config::text(file)?;
        let config = Config::parse(file, &text)?;
        let sites = chosen(&config, self.site.as_deref())?;
        let also = self.site.as_deref().and_then(|host| host.parse::<Host>().ok());
        let token = find_token(&config.cloudflare)?;
        let account = Account::find(config.fixed.user.as_deref())?;
        let launcher = Launcher::new(account, Vec::new());
        let api = &config.cloudflare.api;
        let mut client = Client::start(&launcher, api, token)?;
        let (seen, identities_from) = identities(&config)?;
        let mut collector = SiteCollector::new(&mut client, &config, &text, &seen);
        let mut report = CloudflareReport {
            api: api.to_string(),
            healthy: true,
            identities_from,
            sites: Vec::new(),
        };
        for site in sites {
            let mut collected = collector.site(site, also.as_ref())?;
            collected.findings = findings(&collected, Timestamp::now());
            let wrong = |it: &aop_api::CloudflareFinding| it.result == FindingOutcome::Wrong;
            report.healthy &= !collected.findings.iter().any(wrong);
            report.sites.push(collected);
        }
        self.output.print(&report, |report| page::render(report, Colours::of_stdout()))?;
        Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The sites to show.
fn chosen<'a>(config: &'a Config, host: Option<&str>) -> anyhow::Result<Vec<&'a SiteConfig>> {
    let Some(host) = host else {
        if config.live.sites.is_empty() {
            bail!("{}: there is no [[site]], so no origin pull", config.file.display());
        }
        return Ok(config.live.sites.iter().collect());
    };
    match config.live.site(host) {
        Some(site) => Ok(vec![site]),
        None => bail!(
            "no site has the host {host:?}; the sites are {}",
            config.live.site_names().join(", ")
        ),
    }
}

/// The certificates that arrived here, from the daemon or as the last one has stored them.
pub(super) fn identities(config: &Config) -> anyhow::Result<(SeenIdentities, IdentitiesFrom)> {
    let paths = &config.fixed.paths;
    match aop_control::send_request(&paths.runtime, Request::Identities) {
        Err(ClientError::NotRunning(_)) => {
            let stored = aop_daemon::stored_identities(&paths.state).map_err(anyhow::Error::msg)?;
            Ok((stored, IdentitiesFrom::Stored))
        }
        answered => Ok((answered?, IdentitiesFrom::Daemon)),
    }
}
