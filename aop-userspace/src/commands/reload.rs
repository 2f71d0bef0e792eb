//! `aop reload`: asks the daemon to reload its configuration, and prints the result.

use std::process::ExitCode;

use aop_api::{ReloadOutcome, ReloadResult, Request};
use clap::Args;

use crate::{
    arguments::{ConfigFile, Output},
    daemon,
    output::{count, lines},
};

#[derive(Args)]
pub(crate) struct ReloadCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    output: Output,
}

impl ReloadCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let reloaded: ReloadResult = daemon::ask(
            &self.file.config,
            Request::Reload,
            "nothing was reloaded. Start it (`systemctl start aop`, or `aop run`): it reads the \
             configuration then",
        )?;
        self.output.print(&reloaded, render)?;
        Ok(match reloaded.outcome {
            ReloadOutcome::Applied | ReloadOutcome::ChangedBack => ExitCode::SUCCESS,
            ReloadOutcome::Refused => ExitCode::FAILURE,
        })
    }
}

fn render(reloaded: &ReloadResult) -> String {
    let ReloadResult { outcome, file, sites, files, warnings, error, .. } = reloaded;
    let head = match outcome {
        ReloadOutcome::Applied | ReloadOutcome::ChangedBack => {
            format!("reloaded: {file}, {} and {}", count(*sites, "site"), count(*files, "file"))
        }
        ReloadOutcome::Refused => format!(
            "not reloaded, the old configuration stays in force: {}",
            error.as_deref().unwrap_or("no reason given")
        ),
    };
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
    lines([head].into_iter().chain(warnings))
}
