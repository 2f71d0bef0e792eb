//! `aop cloudflare report`: takes in what another host has seen, for `roll --wait-for`.

use std::{fs, io::Read, process::ExitCode};

use anyhow::{Context, bail};
use aop_api::SeenIdentities;
use aop_cloudflare::{RollRecord, RollReport};
use aop_config::Config;
use clap::Args;
use jiff::Timestamp;

use crate::{arguments::ConfigFile, output};

/// The longest report.
const MAX: u64 = 16 * 1024 * 1024;

#[derive(Args)]
pub(super) struct ReportCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// The site of the roll
    #[arg(long, value_name = "HOST")]
    site: String,
    /// The name of the other host: letters, digits, `.`, `-` and `_`
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    from: String,
}

impl ReportCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.file.config)?;
        let of_site = config.live.site(&self.site);
        let site = of_site.map_or(&self.site, |site| &site.name);
        let mut text = Vec::new();
        std::io::stdin().take(MAX).read_to_end(&mut text)?;
        let seen: SeenIdentities = serde_json::from_slice(&text).context(
            "standard input is not the output of `aop identities --json` of the other host",
        )?;
        let state = &config.fixed.paths.state;
        if RollRecord::load(state, site)?.is_none_or(|it| it.is_done()) {
            bail!("{site}: no roll is under way, so no report is waited for");
        }
        if self.from == own_name(&config)? {
            bail!("{}: this host counts by itself; name the other one", self.from);
        }
        if !seen.sites.iter().any(|it| it.site == *site) {
            bail!(
                "{}: its report has no site {site}, so it cannot have seen the new certificate. Its \
                 sites are: {}",
                self.from,
                seen.sites.iter().map(|it| it.site.as_str()).collect::<Vec<_>>().join(", ")
            );
        }
        let report = RollReport { host: self.from.clone(), at: Timestamp::now(), seen };
        report.store(state, site)?;
        let seen = report.seen;
        let sites = output::count(seen.sites.len(), "site");
        output::print(&format!("{}: the certificates of {sites} are noted\n", self.from))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The name of this host: in its fleet, or in its kernel.
fn own_name(config: &Config) -> anyhow::Result<String> {
    match &config.live.fleet {
        Some(fleet) => {
            Ok(aop_fleet::own_name(fleet).map_err(anyhow::Error::msg)?.as_str().to_owned())
        }
        None => Ok(fs::read_to_string("/proc/sys/kernel/hostname")?.trim_end().to_owned()),
    }
}

fn host_name(text: &str) -> Result<String, String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let good = (1..=100).contains(&text.len()) && text.bytes().all(known);
    if good { Ok(text.to_owned()) } else { Err("expected a name such as web2".to_owned()) }
}
