//! `aop check`

use std::{fmt::Write, process::ExitCode};

use clap::Args;

use super::{ConfigFile, print};
use crate::daemon::{Prepared, prepare};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Prepared { config, found, prefixes, mut warnings, .. } = prepare(&self.file.config)?;
        warnings.extend(found.trouble.map(|trouble| trouble.to_string()));
        let mut text = String::new();
        for warning in &warnings {
            writeln!(text, "warning: {warning}")?;
        }
        writeln!(
            text,
            "{}: good: {}, {} admitted, {}",
            self.file.config.display(),
            count(config.live.sites.len(), "site"),
            count(prefixes.len(), "prefix"),
            count(warnings.len(), "warning"),
        )?;
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn count(number: usize, thing: &str) -> String {
    match (number, thing.ends_with('x')) {
        (1, _) => format!("1 {thing}"),
        (_, true) => format!("{number} {thing}es"),
        (_, false) => format!("{number} {thing}s"),
    }
}
