//! `aop ca show`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use aop_api::CaShown;
use clap::Args;
use jiff::Timestamp;

use super::{document, page, passphrase::secret_file};
use crate::arguments::Output;

#[derive(Args)]
pub(super) struct ShowCommand {
    /// Files in PEM form; of a certificate and its key, it says whether they belong together
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl ShowCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let now = Timestamp::now();
        let mut described = Vec::new();
        for file in self.files {
            let text = secret_file(&file)?;
            let found = aop_ca::describe(&text, now).with_context(|| file.display().to_string())?;
            described.push((file, found));
        }
        let keys: Vec<_> =
            described.iter().flat_map(|(file, found)| document::known_keys(file, found)).collect();
        let files = described
            .into_iter()
            .map(|(file, found)| document::file(&file, found, &keys, now))
            .collect();
        self.output.print(&CaShown { files }, page::shown)?;
        Ok(ExitCode::SUCCESS)
    }
}
