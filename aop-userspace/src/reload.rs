//! `aop reload`: asks the daemon to reload its configuration, and prints the result.

use std::process::ExitCode;

use anyhow::bail;
use aop_api::{ReloadOutcome, ReloadResult, Request};
use aop_config::Config;
use aop_control::ClientError;
use clap::Args;

use super::{ConfigFile, json, print};

#[derive(Args)]
pub(super) struct Reload {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl Reload {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        // Only the path of the socket is needed: the daemon judges the rest of the file.
        let paths = Config::paths(&self.file.config)?;
        let reloaded: ReloadResult = match aop_control::ask(&paths.runtime, Request::Reload) {
            Err(error @ ClientError::NotRunning(_)) => bail!(
                "{error}: nothing was reloaded. Start it (`systemctl start aop`, or `aop run`): it \
                 reads the configuration then"
            ),
            answered => answered?,
        };
        print(&if self.json { json(&reloaded)? } else { told(&reloaded) })?;
        Ok(match reloaded.outcome {
            ReloadOutcome::Applied | ReloadOutcome::ChangedBack => ExitCode::SUCCESS,
            ReloadOutcome::Refused => ExitCode::FAILURE,
        })
    }
}

fn told(reloaded: &ReloadResult) -> String {
    let ReloadResult { outcome, file, sites, files, warnings, error, .. } = reloaded;
    let head = match outcome {
        ReloadOutcome::Applied | ReloadOutcome::ChangedBack => {
            format!("reloaded: {file}, {} and {}", counted(*sites, "site"), counted(*files, "file"))
        }
        ReloadOutcome::Refused => format!(
            "not reloaded, the old configuration stays in force: {}",
            error.as_deref().unwrap_or("no reason given")
        ),
    };
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
    format!("{head}\n{}", warnings.collect::<String>())
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
