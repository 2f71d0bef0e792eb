//! `aop cloudflare roll` and `aop cloudflare back`: the replacement of the certificate that
//! Cloudflare presents, step by step.
//!
//! `aop-cloudflare` decides what comes next and keeps the record. Here are the turns: the facts are
//! read anew, and one thing is done.

mod act;
mod begin;
mod dry_run;
mod leaf;
mod of_fleet;
mod page;
mod trust;
mod turns;
mod unattended;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};

use self::{begin::Wanted, page::ScreenForm, turns::Roller};
pub(super) use self::{
    turns::client,
    unattended::{UnattendedRoll, is_busy, run_unattended},
};
use crate::{
    arguments::{ConfigFile, Output, duration},
    commands::ca::PassphraseFile,
};

#[derive(Args)]
pub(super) struct RollCommand {
    #[command(flatten)]
    common: CommonArguments,
    /// The level of the new certificate [default: host if the site's hosts have one of their own,
    /// otherwise zone]
    #[arg(long)]
    level: Option<OwnLevel>,
    /// The client CA that signs the new certificate [default: cloudflare.ca]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Its key [default: cloudflare.ca_key]. Without the key on this host, a request is made for
    /// the host that has it
    #[arg(long, value_name = "FILE")]
    ca_key: Option<PathBuf>,
    /// The certificate that was issued elsewhere for that request
    #[arg(long, value_name = "FILE", conflicts_with = "ca_key")]
    certificate: Option<PathBuf>,
    /// The validity of the new certificate in days: 1 to 3650
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: u32,
    #[command(flatten)]
    passphrase_file: PassphraseFile,
    /// Go back to what was before, as long as the old certificate is not deleted
    #[arg(long, conflicts_with_all = ["certificate", "ca", "ca_key", "level"])]
    undo: bool,
}

#[derive(Args)]
pub(super) struct BackCommand {
    #[command(flatten)]
    common: CommonArguments,
    /// zone: the zone's certificate, for a site whose hosts have one of their own. global:
    /// Cloudflare's global certificate
    #[arg(long)]
    level: BackLevel,
}

#[derive(Args)]
struct CommonArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// The site, by its name or one of its hosts
    #[arg(long, value_name = "HOST")]
    site: String,
    /// The number of hosts that must have seen the new certificate, this one among them; the others
    /// report to the fleet, or with `aop cloudflare report` [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    wait_for: Option<u32>,
    /// The longest time that this command waits. The roll stays: the same command goes on with it
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    wait: Duration,
    /// The time for which the old certificate must not have been presented before it is deleted
    /// [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    settle: Option<Duration>,
    /// The longest time for which a list of Cloudflare may not show an upload whose answer was lost
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    list_lag: Duration,
    /// Print the calls that would be made, without secrets, and change nothing
    #[arg(long, conflicts_with = "json")]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum OwnLevel {
    Zone,
    Host,
}

#[derive(Clone, Copy, ValueEnum)]
enum BackLevel {
    Zone,
    Global,
}

impl CommonArguments {
    fn roller(self, issuing: leaf::Issuing) -> anyhow::Result<Roller> {
        let form = if self.output.json { ScreenForm::Nothing } else { ScreenForm::Terminal };
        Roller::open(self, issuing, form)
    }
}

impl RollCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let wanted = match (self.undo, self.level) {
            (true, _) => Wanted::Undo,
            (false, None) => Wanted::Own,
            (false, Some(OwnLevel::Zone)) => Wanted::Zone,
            (false, Some(OwnLevel::Host)) => Wanted::Host,
        };
        let issuing = leaf::Issuing {
            ca: self.ca,
            ca_key: self.ca_key,
            certificate: self.certificate,
            days: self.days,
            passphrase_file: self.passphrase_file,
        };
        self.common.roller(issuing)?.run(wanted)
    }
}

impl BackCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let wanted = match self.level {
            BackLevel::Zone => Wanted::BackToZone,
            BackLevel::Global => Wanted::BackToGlobal,
        };
        self.common.roller(leaf::Issuing::configured())?.run(wanted)
    }
}
