//! `aop prefixes`: the admitted prefixes, what a newer list would change, and a refresh now.

use std::{fmt::Display, path::Path, process::ExitCode};

use aop_api::{
    AdmissionContext, AdmissionSource, Admitted, RefreshAction, RefreshOutcome, RefreshResult,
    Request, duration_text,
};
use aop_config::Config;
use aop_control::status_from_maps;
use aop_prefixes::{PrefixList, Proposal, RemovalLimit, validate};
use aop_sandbox::{Account, Launcher};
use aop_types::monotonic_seconds;
use clap::{Args, Subcommand};
use ipnet::IpNet;

use crate::{
    arguments::{ConfigFile, Output},
    daemon::{self, OfflineState},
    output::{lines, prefix_lines, print},
};

#[derive(Args)]
pub(crate) struct PrefixesCommand {
    #[command(subcommand)]
    verb: PrefixesVerb,
}

#[derive(Subcommand)]
enum PrefixesVerb {
    /// Show the prefixes in force and what admits each; works without a daemon too
    Show(ShowCommand),
    /// Read or fetch the list and show what it would change; changes nothing
    Diff(DiffCommand),
    /// Make the daemon read or fetch the list now; exit code 1 if it is not applied
    Refresh(RefreshCommand),
}

#[derive(Args)]
struct ShowCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
struct DiffCommand {
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Args)]
struct RefreshCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Fetch and validate the list, but do not apply it
    #[arg(long, conflicts_with = "accept")]
    dry_run: bool,
    /// Apply the list even if it removes more prefixes than one refresh may
    #[arg(long)]
    accept: bool,
    #[command(flatten)]
    output: Output,
}

impl PrefixesCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            PrefixesVerb::Show(verb) => verb.run(),
            PrefixesVerb::Diff(verb) => verb.run(),
            PrefixesVerb::Refresh(verb) => verb.run(),
        }
    }
}

impl ShowCommand {
    fn run(self) -> anyhow::Result<ExitCode> {
        self.output.print(&admitted(&self.file.config)?, render_admitted)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The prefixes as the daemon knows them or, without a daemon, from the pinned maps.
fn admitted(file: &Path) -> anyhow::Result<Admitted> {
    daemon::ask_or(file, Request::Prefixes, |paths| {
        let state = OfflineState::read(file, paths)?;
        let prefixes = state.reading.as_ref().map_or(Vec::new(), |reading| {
            let (extra, opened) = (state.extra(), state.opened_networks());
            let now = monotonic_seconds();
            AdmissionContext::new(&reading.admission, extra, &opened, now).prefixes()
        });
        Ok(Admitted { list: status_from_maps(state.reading.as_ref(), &[]).prefixes, prefixes })
    })
}

fn render_admitted(admitted: &Admitted) -> String {
    let mut text = prefix_lines(&admitted.list);
    if admitted.prefixes.is_empty() {
        text.push("no prefix is admitted".to_owned());
    }
    text.extend(admitted.prefixes.iter().map(|entry| {
        let left = entry.drains_seconds.map(duration_text);
        let left = left.map_or(String::new(), |left| format!(", {left} left"));
        format!("  {:<43} {}{left}", entry.prefix, entry.admits)
    }));
    lines(text)
}

impl DiffCommand {
    fn run(self) -> anyhow::Result<ExitCode> {
        let Config { fixed, live, .. } = Config::load(&self.file.config)?;
        let source = live.prefixes;
        let launcher = Launcher::new(Account::find(fixed.user.as_deref())?, Vec::new());
        let admitted = admitted(&self.file.config)?;
        let listed = admitted.prefixes.iter().filter(|entry| entry.admits == AdmissionSource::List);
        let listed = listed.map(|entry| entry.prefix.parse::<IpNet>()).collect::<Result<_, _>>()?;
        // No etag: the source must send the whole list.
        let held = PrefixList::new(listed, None);
        let proposal = aop_prefixes::read_source(&source, &held, RemovalLimit::Waived, &launcher)?;
        let Proposal::Replaced { list, change } = proposal else {
            print(&format!("{source}: no change\n"))?;
            return Ok(ExitCode::SUCCESS);
        };
        let mut text = vec![format!("{source}:")];
        text.extend(change_lines(&change.added, &change.removed));
        if let (Some(_), Err(refusal)) =
            (source.url(), validate::validate_change(&held, &list, RemovalLimit::Enforced))
        {
            text.push(format!("a refresh would be refused: {refusal}"));
        }
        print(&lines(text))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn change_lines<P: Display>(added: &[P], removed: &[P]) -> Vec<String> {
    let added = added.iter().map(|prefix| format!("+ {prefix}"));
    added.chain(removed.iter().map(|prefix| format!("- {prefix}"))).collect()
}

impl RefreshCommand {
    fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let action = match (self.dry_run, self.accept) {
            (true, _) => RefreshAction::Compare,
            (false, false) => RefreshAction::Apply,
            (false, true) => RefreshAction::ApplyShrunk,
        };
        let refreshed: RefreshResult =
            aop_control::send_request(&paths.runtime, Request::RefreshPrefixes { then: action })?;
        self.output.print(&refreshed, render_refresh)?;
        match refreshed.outcome {
            RefreshOutcome::Applied | RefreshOutcome::Confirmed | RefreshOutcome::WouldApply => {
                Ok(ExitCode::SUCCESS)
            }
            RefreshOutcome::Refused | RefreshOutcome::Unknown => Ok(ExitCode::FAILURE),
        }
    }
}

fn render_refresh(refreshed: &RefreshResult) -> String {
    let RefreshResult { outcome, added, removed, error } = refreshed;
    let head = match outcome {
        RefreshOutcome::Applied => "applied".to_owned(),
        RefreshOutcome::Confirmed => "no change: the list in force is confirmed".to_owned(),
        RefreshOutcome::WouldApply => "would be applied".to_owned(),
        RefreshOutcome::Refused | RefreshOutcome::Unknown => {
            format!("not applied: {}", error.as_deref().unwrap_or("no reason given"))
        }
    };
    lines([head].into_iter().chain(change_lines(added, removed)))
}
