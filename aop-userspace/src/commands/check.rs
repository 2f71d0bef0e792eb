//! `aop check`: judges the configuration, its files and this host as a start would, and lists the
//! certificates.

mod cloudflare;
mod files;
mod fleet;

use std::{path::Path, process::ExitCode};

use aop_api::{
    CheckReport, CheckedCertificate, CheckedFile, CheckedList, CheckedSite, Finding, FindingOutcome,
};
use aop_config::Config;
use aop_daemon::{CheckedConfig, DaemonError, prepare, prepare_text};
use aop_diagnose::doctor::check_start;
use aop_tls::SiteFiles;
use clap::Args;
use jiff::Timestamp;

use self::files::checked_site;
pub(super) use self::{cloudflare::ca_of, files::checked_certificate};
use crate::{
    arguments::{ConfigFile, Output},
    output::{count, date, error_chain, lines},
};

#[derive(Args)]
pub(crate) struct CheckCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Look only at the configuration and its files, which are for another host
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    output: Output,
}

impl CheckCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = &self.file.config;
        let (mut checked, prefixes) = check_files(file);
        if !self.files {
            add_findings_of_start(&mut checked, Config::load(file).ok().as_ref())?;
        }
        self.output.print(&checked, |checked| match &prefixes {
            Ok(prefixes) => lines(report(checked, file, *prefixes)),
            Err(_) => lines(checked.sites.iter().flat_map(site_lines)),
        })?;
        prefixes.map(|_| match checked.mistakes.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

/// Checks `file` and every file that it names; the `Ok` value is the number of admitted prefixes.
pub(super) fn check_files(file: &Path) -> (CheckReport, anyhow::Result<usize>) {
    report_of(file, Config::load(file).ok(), prepare(file))
}

/// Checks `text`, which is to become the content of `file`, every file that it names, and this
/// host.
pub(super) fn check_text(
    file: &Path,
    text: &str,
) -> anyhow::Result<(CheckReport, anyhow::Result<usize>)> {
    let config = Config::parse(file, text).ok();
    let prepared = prepare_text(file, text.to_owned());
    let (mut checked, prefixes) = report_of(file, config.clone(), prepared);
    add_findings_of_start(&mut checked, config.as_ref())?;
    Ok((checked, prefixes))
}

fn report_of(
    file: &Path,
    config: Option<Config>,
    prepared: Result<CheckedConfig, DaemonError>,
) -> (CheckReport, anyhow::Result<usize>) {
    // A file that prevents a start must not hide what is wrong with the others.
    let sites = config.map_or(Vec::new(), |config| config.live.sites);
    let files = SiteFiles::on_disk();
    let mut checked = CheckReport {
        file: file.display().to_string(),
        good: false,
        error: None,
        warnings: Vec::new(),
        mistakes: Vec::new(),
        sites: sites.iter().map(|site| checked_site(site, &files)).collect(),
        cloudflare: None,
        fleet: None,
    };
    match prepared {
        Ok(prepared) => {
            checked.good = true;
            checked.warnings = prepared.all_warnings();
            checked.mistakes = prepared.mistakes();
            (checked, Ok(prepared.prefixes.len()))
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            checked.error = Some(error_chain(&error));
            (checked, Err(error))
        }
    }
}

/// Adds what a start would meet on this host.
fn add_findings_of_start(checked: &mut CheckReport, config: Option<&Config>) -> anyhow::Result<()> {
    // Without a configuration the error is the whole report.
    let Some(config) = config else { return Ok(()) };
    for Finding { result, said, cure, .. } in check_start(config)? {
        let text = format!("{said}. Cure: {}", cure.unwrap_or_default());
        if result == FindingOutcome::Wrong {
            checked.mistakes.push(text.clone());
        }
        checked.warnings.push(text);
    }
    checked.cloudflare = cloudflare::checked(config);
    checked.warnings.extend(checked.cloudflare.iter().flat_map(cloudflare::warnings));
    if let Some(config) = &config.live.fleet {
        let (fleet, warnings) = fleet::checked(config);
        checked.fleet = Some(fleet);
        checked.warnings.extend(warnings);
    }
    Ok(())
}

fn report(checked: &CheckReport, file: &Path, prefixes: usize) -> Vec<String> {
    let CheckReport { mistakes, sites, .. } = checked;
    let warnings = checked.warnings.iter().filter(|it| !mistakes.contains(it));
    let warnings: Vec<String> = warnings.map(|warning| format!("warning: {warning}")).collect();
    let verdict = match mistakes.len() {
        0 => "good".to_owned(),
        wrong => format!("can run, but has {}", count(wrong, "mistake")),
    };
    let sum = format!(
        "{}: {verdict}: {}, {} admitted, {}",
        file.display(),
        count(sites.len(), "site"),
        count(prefixes, "prefix"),
        count(warnings.len(), "warning"),
    );
    let mut text: Vec<String> = mistakes.iter().map(|it| format!("wrong: {it}")).collect();
    text.extend(warnings);
    text.extend(sites.iter().flat_map(site_lines));
    text.extend(checked.cloudflare.iter().flat_map(cloudflare::lines));
    text.extend(checked.fleet.iter().map(fleet::line));
    text.push(sum);
    text
}

/// The files of a site, with what they hold.
fn site_lines(site: &CheckedSite) -> Vec<String> {
    let head = format!("site {} ({})", site.site, site.hosts.join(", "));
    [head].into_iter().chain(site.files.iter().flat_map(file_lines)).collect()
}

fn file_lines(file: &CheckedFile) -> Vec<String> {
    let mut text = vec![format!("  {} {}", file.role, file.file)];
    text.extend(file.error.iter().map(|error| format!("    error: {error}")));
    for certificate in &file.certificates {
        let CheckedCertificate { subject, issuer, key, names, not_before, not_after, .. } =
            certificate;
        let kind = if certificate.ca { "CA" } else { "leaf" };
        text.push(format!("    {kind} {subject}"));
        let by = if subject == issuer { "self-signed" } else { &format!("by {issuer}") };
        text.push(format!("      {by}, {key}, {}", period(*not_before, *not_after)));
        if !names.is_empty() {
            text.push(format!("      {}", names.join(", ")));
        }
        text.push(format!("      key {}", certificate.spki_sha256));
    }
    for CheckedList { issuer, this_update, next_update, entries } in &file.lists {
        let entries = count(*entries, "certificate");
        let period = period(*this_update, *next_update);
        text.push(format!("    list of {issuer}: {entries}, {period}"));
    }
    text
}

fn period(from: Timestamp, until: Timestamp) -> String {
    format!("{} to {}", date(from), date(until))
}
