//! `aop doctor`: collects what the checks need, runs them, and prints the findings.

mod page;

use std::{path::PathBuf, process::ExitCode};

use aop_diagnose::doctor::{CertificatePair, HostContext, diagnose};
use clap::Args;

pub(super) use self::page::hanging;
use super::check::check_files;
use crate::{
    arguments::{ConfigFile, Output},
    daemon,
    output::Colours,
};

#[derive(Args)]
pub(crate) struct DoctorCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// The certificate that was uploaded to the CDN (PEM): checked as a file, then presented
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Show every finding in full, including the good ones
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
}

impl DoctorCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = &self.file.config;
        let (checked, _) = check_files(file);
        let pair = self.certificate.zip(self.key);
        let pair = pair.map(|(certificate, key)| CertificatePair { certificate, key });
        let host = HostContext::read(file, checked, daemon::status(file)?, pair)?;
        let diagnosis = diagnose(&host);
        self.output.print(&diagnosis, |diagnosis| {
            page::render(diagnosis, self.all, Colours::of_stdout())
        })?;
        Ok(if diagnosis.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
