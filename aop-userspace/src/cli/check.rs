//! `aop check`

use std::{
    fmt::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Args;
use jiff::Timestamp;

use super::{ConfigFile, json, print, told_once};
use crate::{
    config::Config,
    control::{Checked, CheckedCertificate, CheckedFile, CheckedList, CheckedSite},
    daemon::prepare,
    tls::Files,
};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = &self.file.config;
        // Each file is told, also beside one that stands in the way of all.
        let sites = Config::load(file).map_or(Vec::new(), |config| config.live.sites);
        let files = Files::on_disk();
        let mut checked = Checked {
            file: file.display().to_string(),
            good: false,
            error: None,
            warnings: Vec::new(),
            sites: sites.iter().map(|site| CheckedSite::of(site, &files)).collect(),
        };
        let prepared = match prepare(file) {
            Ok(prepared) => prepared,
            Err(error) => {
                let error = anyhow::Error::from(error);
                checked.error = Some(told_once(&error));
                match self.json {
                    true => print(&json(&checked)?)?,
                    false => print(&explained(&checked.sites)?)?,
                }
                return Err(error);
            }
        };
        checked.good = true;
        checked.warnings = prepared.told();
        print(&match self.json {
            true => json(&checked)?,
            false => told(&checked, file, prepared.prefixes.len())?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn told(checked: &Checked, file: &Path, prefixes: usize) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for warning in &checked.warnings {
        writeln!(text, "warning: {warning}")?;
    }
    text += &explained(&checked.sites)?;
    writeln!(
        text,
        "{}: good: {}, {} admitted, {}",
        file.display(),
        count(checked.sites.len(), "site"),
        count(prefixes, "prefix"),
        count(checked.warnings.len(), "warning"),
    )?;
    Ok(text)
}

/// The files of each site.
fn explained(sites: &[CheckedSite]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for site in sites {
        writeln!(text, "site {} ({})", site.site, site.hosts.join(", "))?;
        for file in &site.files {
            write_file(&mut text, file)?;
        }
    }
    Ok(text)
}

fn write_file(text: &mut String, file: &CheckedFile) -> fmt::Result {
    writeln!(text, "  {} {}", file.role, file.file)?;
    if let Some(error) = &file.error {
        writeln!(text, "    error: {error}")?;
    }
    for certificate in &file.certificates {
        let CheckedCertificate { subject, issuer, key, names, not_before, not_after, .. } =
            certificate;
        let kind = if certificate.ca { "CA" } else { "leaf" };
        writeln!(text, "    {kind} {subject}")?;
        match subject == issuer {
            true => writeln!(text, "      self-signed, {key}, {}", span(not_before, not_after))?,
            false => {
                writeln!(text, "      by {issuer}, {key}, {}", span(not_before, not_after))?;
            }
        }
        if !names.is_empty() {
            writeln!(text, "      {}", names.join(", "))?;
        }
        writeln!(text, "      key {}", certificate.spki_sha256)?;
    }
    for CheckedList { issuer, this_update, next_update, entries } in &file.lists {
        let entries = count(*entries, "certificate");
        writeln!(text, "    list of {issuer}: {entries}, {}", span(this_update, next_update))?;
    }
    Ok(())
}

fn span(from: &Timestamp, until: &Timestamp) -> String {
    format!("{} to {}", from.strftime("%Y-%m-%d"), until.strftime("%Y-%m-%d"))
}

fn count(number: usize, thing: &str) -> String {
    match (number, thing.ends_with('x')) {
        (1, _) => format!("1 {thing}"),
        (_, true) => format!("{number} {thing}es"),
        (_, false) => format!("{number} {thing}s"),
    }
}
