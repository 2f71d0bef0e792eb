//! `aop open`: emergency openings. The daemon makes and closes them; listing needs no daemon.

use std::{net::IpAddr, process::ExitCode, time::Duration};

use aop_api::{OpeningsInForce, Request};
use clap::Args;
use ipnet::IpNet;

use crate::{
    arguments::{ConfigFile, Output, duration},
    daemon,
    output::lines,
};

#[derive(Args)]
pub(crate) struct OpenCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    action: OpenAction,
    /// The time of the opening, 24h at most; then the opening ends by itself
    #[arg(long, value_name = "TIME", value_parser = duration)]
    #[arg(required_unless_present_any = ["list", "close"])]
    r#for: Option<Duration>,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct OpenAction {
    /// Admit this address or network, no wider than /8 (IPv6: /32)
    #[arg(long, value_name = "CIDR", value_parser = network, requires = "for")]
    from: Option<IpNet>,
    /// Close the opening for this address or network
    #[arg(long, value_name = "CIDR", value_parser = network, conflicts_with = "for")]
    close: Option<IpNet>,
    /// List the openings; works without a daemon too
    #[arg(long, conflicts_with = "for")]
    list: bool,
}

/// A network, or an address as the network that has no other.
pub(super) fn network(text: &str) -> Result<IpNet, ipnet::AddrParseError> {
    text.parse::<IpAddr>().map_or_else(|_| text.parse(), |address| Ok(address.into()))
}

impl OpenCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let in_force = match (self.action.from, self.action.close) {
            (Some(network), _) => {
                let seconds = self.r#for.unwrap_or_default().as_secs();
                self.ask(Request::Open { network, seconds })?
            }
            (None, Some(network)) => self.ask(Request::Close { network })?,
            (None, None) => {
                let openings = daemon::status(&self.file.config)?.openings;
                OpeningsInForce { openings, not_kept: None }
            }
        };
        self.output.print(&in_force, render)?;
        Ok(ExitCode::SUCCESS)
    }

    fn ask(&self, request: Request) -> anyhow::Result<OpeningsInForce> {
        daemon::ask(
            &self.file.config,
            request,
            "nothing was changed, because only a running daemon can do that. Start it (`systemctl \
             start aop`, or `aop run`), or remove the firewall with `aop unload`",
        )
    }
}

fn render(in_force: &OpeningsInForce) -> String {
    let OpeningsInForce { openings, not_kept } = in_force;
    let mut text: Vec<String> = openings.iter().map(aop_api::Opening::line).collect();
    if text.is_empty() {
        text.push("no opening is in force".to_owned());
    }
    text.extend(not_kept.iter().map(|why| format!("warning: {why}")));
    lines(text)
}
