//! `aop fleet status`: a line for each host, the worst first.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    thread::sleep,
    time::Duration,
};

use aop_fleet::{FleetClient, fleet_report};
use clap::Args;
use jiff::Timestamp;

use super::{HostSelection, table};
use crate::{
    arguments::{ConfigFile, Output},
    output::{Colours, print, reader_is_gone, terminal_columns},
};

/// The time between two readings of `--watch`. Hosts report every ten seconds.
const WATCH: Duration = Duration::from_secs(5);
/// Moves to the top left corner, and clears the screen (ECMA-48: CUP, ED).
const CLEAR: &str = "\x1b[H\x1b[2J";

#[derive(Args)]
pub(super) struct FleetStatusCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    hosts: HostSelection,
    /// Read again every five seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    output: Output,
}

impl FleetStatusCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let filter = self.hosts.filter()?;
        let (mut client, config) = super::connect(&self.file)?;
        loop {
            let stored = match client.hosts() {
                Ok(stored) => stored,
                // A reading that fails ends nothing: etcd may be back for the next one.
                Err(error) if self.watch => {
                    eprintln!("aop: {error}");
                    sleep(WATCH);
                    if reader_is_gone() {
                        return Ok(ExitCode::SUCCESS);
                    }
                    client = reconnected(&self.file, client);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let unreadable = stored.unreadable;
            let report = fleet_report(stored, &filter, &config.prefix, Timestamp::now());
            if self.watch && !self.output.json && io::stdout().is_terminal() {
                print(CLEAR)?;
            }
            self.output.print(&report, |report| {
                table::status(report, unreadable, Colours::of_stdout(), terminal_columns())
            })?;
            if self.watch {
                sleep(WATCH);
            }
            if !self.watch || reader_is_gone() {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// A new client where that can be had: the process may have broken.
fn reconnected(file: &ConfigFile, client: FleetClient) -> FleetClient {
    super::connect(file).map_or(client, |(client, _)| client)
}
