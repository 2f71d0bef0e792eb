//! `aop open`: emergency openings. The daemon makes and closes them; listing needs no daemon.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use aop_api::{OpeningsInForce, Request};
use aop_config::Config;
use aop_control::ClientError;
use clap::Args;
use ipnet::IpNet;

use super::{ConfigFile, duration, json, print, status};

#[derive(Args)]
pub(super) struct Open {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    what: What,
    /// How long, 24h at most; then the opening ends by itself
    #[arg(long, value_name = "TIME", value_parser = duration, required_unless_present_any = ["list", "close"])]
    r#for: Option<Duration>,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Admit this network, no wider than /8 (IPv6: /32)
    #[arg(long, value_name = "CIDR", requires = "for")]
    from: Option<IpNet>,
    /// Close the opening for this network
    #[arg(long, value_name = "CIDR", conflicts_with = "for")]
    close: Option<IpNet>,
    /// List the openings; works without a daemon too
    #[arg(long, conflicts_with = "for")]
    list: bool,
}

impl Open {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let in_force = match (self.what.from, self.what.close) {
            (Some(network), _) => {
                let seconds = self.r#for.unwrap_or_default().as_secs();
                self.ask(Request::Open { network, seconds })?
            }
            (None, Some(network)) => self.ask(Request::Close { network })?,
            (None, None) => {
                let openings = status::now(&self.file.config)?.openings;
                OpeningsInForce { openings, not_kept: None }
            }
        };
        print(&if self.json { json(&in_force)? } else { told(&in_force) })?;
        Ok(ExitCode::SUCCESS)
    }

    fn ask(&self, request: Request) -> anyhow::Result<OpeningsInForce> {
        let paths = Config::paths(&self.file.config)?;
        match aop_control::ask(&paths.runtime, request) {
            Err(error @ ClientError::NotRunning(_)) => bail!(
                "{error}: nothing was changed, because only a running daemon can do that. Start it \
                 (`systemctl start aop`, or `aop run`), or remove the firewall with `aop unload`"
            ),
            answered => Ok(answered?),
        }
    }
}

fn told(in_force: &OpeningsInForce) -> String {
    let OpeningsInForce { openings, not_kept } = in_force;
    let mut lines: Vec<String> = openings.iter().map(aop_api::Opening::line).collect();
    if lines.is_empty() {
        lines.push("no opening is in force".to_owned());
    }
    lines.extend(not_kept.iter().map(|why| format!("warning: {why}")));
    lines.join("\n") + "\n"
}
