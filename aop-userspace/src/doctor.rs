//! `aop doctor`: collects what the checks need, runs them, and prints the findings.

mod page;

use std::{path::PathBuf, process::ExitCode};

use aop_diagnose::doctor::{CertificatePair, HostContext, diagnose};
use clap::Args;

use super::{ConfigFile, check, json, print, screen::Paint, status};

#[derive(Args)]
pub(super) struct Doctor {
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
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = &self.file.config;
        let (checked, _) = check::look(file);
        let pair = self.certificate.zip(self.key);
        let pair = pair.map(|(certificate, key)| CertificatePair { certificate, key });
        let patient = HostContext::examine(file, checked, status::now(file)?, pair)?;
        let diagnosis = diagnose(&patient);
        let page = || page::render(&diagnosis, self.all, Paint::of_stdout());
        print(&if self.json { json(&diagnosis)? } else { page() })?;
        Ok(if diagnosis.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
