//! `aop prefixes`: the admitted prefixes, what a newer list would change, and a refresh now.

use std::{fmt::Write, path::Path, process::ExitCode};

use aop_api::{Admitted, Outcome, RefreshAction, RefreshResult, Request, admitted_prefixes};
use aop_config::Config;
use aop_control::{ClientError, from_firewall};
use aop_prefixes::{ListChange, PrefixList, Proposal, RemovalLimit, validate};
use aop_sandbox::{Account, Launcher};
use aop_types::monotonic_seconds;
use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::{ConfigFile, print, screen};

#[derive(Args)]
pub(super) struct Prefixes {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the prefixes in force and what admits each; works without a daemon too
    Show(Show),
    /// Read or fetch the list and show what it would change; changes nothing
    Diff(Diff),
    /// Make the daemon read or fetch the list now; exit code 1 if it is not applied
    Refresh(Refresh),
}

#[derive(Args)]
struct Show {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Diff {
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Args)]
struct Refresh {
    #[command(flatten)]
    file: ConfigFile,
    /// Fetch and validate the list, but do not apply it
    #[arg(long, conflicts_with = "accept")]
    dry_run: bool,
    /// Apply the list even if it removes more prefixes than one refresh may
    #[arg(long)]
    accept: bool,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl Prefixes {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Show(verb) => verb.run(),
            Verb::Diff(verb) => verb.run(),
            Verb::Refresh(verb) => verb.run(),
        }
    }
}

impl Show {
    fn run(self) -> anyhow::Result<ExitCode> {
        let admitted = in_force(&self.file.config)?;
        if self.json {
            print(&format!("{}\n", serde_json::to_string_pretty(&admitted)?))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut text = String::new();
        for line in screen::prefixes(&admitted.list) {
            writeln!(text, "{line}")?;
        }
        for entry in &admitted.prefixes {
            write!(text, "  {:<43} {}", entry.prefix, entry.admits)?;
            match entry.drains_seconds {
                Some(seconds) => writeln!(text, ", {} left", screen::span(seconds))?,
                None => writeln!(text)?,
            }
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The prefixes as the daemon knows them or, without a daemon, from the pinned maps.
fn in_force(file: &Path) -> anyhow::Result<Admitted> {
    let paths = Config::paths(file)?;
    match aop_control::ask(&paths.runtime, Request::Prefixes) {
        Err(ClientError::NotRunning(_)) => {}
        answered => return Ok(answered?),
    }
    let reading = aop_firewall::read(&paths.pins, None)?;
    // Needed only to mark the operator's own prefixes: without a readable configuration they are
    // not marked.
    let extra = Config::load(file).map_or(Vec::new(), |config| config.live.extra);
    let opened = aop_daemon::stored_openings(&paths.state).unwrap_or_default();
    let opened: Vec<IpNet> = opened.into_iter().map(|it| it.network).collect();
    let prefixes = reading.as_ref().map_or(Vec::new(), |reading| {
        admitted_prefixes(&reading.admission, &extra, &opened, monotonic_seconds())
    });
    Ok(Admitted { list: from_firewall(reading.as_ref(), &[]).prefixes, prefixes })
}

impl Diff {
    fn run(self) -> anyhow::Result<ExitCode> {
        let Config { fixed, live, .. } = Config::load(&self.file.config)?;
        let source = live.prefixes;
        let launcher = Launcher::new(Account::find(fixed.user.as_deref())?, Vec::new());
        let admitted = in_force(&self.file.config)?;
        let listed = admitted.prefixes.iter().filter(|entry| entry.admits == "list");
        let listed = listed.map(|entry| entry.prefix.parse::<IpNet>()).collect::<Result<_, _>>()?;
        // No etag: the source must send the whole list.
        let held = PrefixList::new(listed, None);
        let proposal = aop_prefixes::read_source(&source, &held, RemovalLimit::Waived, &launcher)?;
        let Proposal::Replaced { list, change } = proposal else {
            print(&format!("{source}: no change\n"))?;
            return Ok(ExitCode::SUCCESS);
        };
        let mut text = format!("{source}:\n{}", lines(&change));
        if let (Some(_), Err(refusal)) =
            (source.url(), validate::validate_change(&held, &list, RemovalLimit::Enforced))
        {
            writeln!(text, "a refresh would be refused: {refusal}")?;
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn lines(change: &ListChange) -> String {
    let lines = |mark: char, prefixes: &[IpNet]| -> String {
        prefixes.iter().map(|prefix| format!("{mark} {prefix}\n")).collect()
    };
    lines('+', &change.added) + &lines('-', &change.removed)
}

impl Refresh {
    fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let then = match (self.dry_run, self.accept) {
            (true, _) => RefreshAction::Compare,
            (false, false) => RefreshAction::Apply,
            (false, true) => RefreshAction::ApplyShrunk,
        };
        let refreshed: RefreshResult =
            aop_control::ask(&paths.runtime, Request::RefreshPrefixes { then })?;
        if self.json {
            print(&format!("{}\n", serde_json::to_string_pretty(&refreshed)?))?;
        } else {
            print(&told(&refreshed))?;
        }
        match refreshed.outcome {
            Outcome::Applied | Outcome::Confirmed | Outcome::WouldApply => Ok(ExitCode::SUCCESS),
            Outcome::Refused => Ok(ExitCode::FAILURE),
        }
    }
}

fn told(refreshed: &RefreshResult) -> String {
    let RefreshResult { outcome, added, removed, error } = refreshed;
    let lines = |mark: char, prefixes: &[String]| -> String {
        prefixes.iter().map(|prefix| format!("{mark} {prefix}\n")).collect()
    };
    let head = match outcome {
        Outcome::Applied => "applied".to_owned(),
        Outcome::Confirmed => "no change: the list in force is confirmed".to_owned(),
        Outcome::WouldApply => "would be applied".to_owned(),
        Outcome::Refused => {
            format!("not applied: {}", error.as_deref().unwrap_or("no reason given"))
        }
    };
    format!("{head}\n{}{}", lines('+', added), lines('-', removed))
}
