//! `aop check`: judges the configuration and its files as a start would, and lists the
//! certificates.

use std::{
    fmt::{self, Write},
    path::Path,
    process::ExitCode,
};

use aop_api::{CheckReport, CheckedCertificate, CheckedFile, CheckedList, CheckedSite};
use aop_config::Config;
use aop_daemon::prepare;
use aop_tls::Files;
use clap::Args;
use jiff::Timestamp;

use super::{ConfigFile, check_files::checked_site, json, print, told_once};

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
        let (checked, prefixes) = look(file);
        let text = match (&prefixes, self.json) {
            (_, true) => json(&checked)?,
            (Ok(prefixes), false) => told(&checked, file, *prefixes)?,
            (Err(_), false) => explained(&checked.sites)?,
        };
        print(&text)?;
        prefixes.map(|_| ExitCode::SUCCESS)
    }
}

/// Checks `file` and every file that it names; the `Ok` value is the number of admitted prefixes.
pub(super) fn look(file: &Path) -> (CheckReport, anyhow::Result<usize>) {
    // A file that prevents a start must not hide what is wrong with the others.
    let sites = Config::load(file).map_or(Vec::new(), |config| config.live.sites);
    let files = Files::on_disk();
    let mut checked = CheckReport {
        file: file.display().to_string(),
        good: false,
        error: None,
        warnings: Vec::new(),
        mistakes: Vec::new(),
        sites: sites.iter().map(|site| checked_site(site, &files)).collect(),
    };
    match prepare(file) {
        Ok(prepared) => {
            checked.good = true;
            checked.warnings = prepared.all_warnings();
            checked.mistakes = prepared.mistakes();
            (checked, Ok(prepared.prefixes.len()))
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            checked.error = Some(told_once(&error));
            (checked, Err(error))
        }
    }
}

fn told(checked: &CheckReport, file: &Path, prefixes: usize) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for mistake in &checked.mistakes {
        writeln!(text, "wrong: {mistake}")?;
    }
    let warnings: Vec<&String> =
        checked.warnings.iter().filter(|it| !checked.mistakes.contains(it)).collect();
    for warning in &warnings {
        writeln!(text, "warning: {warning}")?;
    }
    text += &explained(&checked.sites)?;
    writeln!(
        text,
        "{}: {}: {}, {} admitted, {}",
        file.display(),
        match checked.mistakes.len() {
            0 => "good".to_owned(),
            wrong => format!("can run, but has {}", count(wrong, "mistake")),
        },
        count(checked.sites.len(), "site"),
        count(prefixes, "prefix"),
        count(warnings.len(), "warning"),
    )?;
    Ok(text)
}

/// The files of each site, with what they hold.
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
