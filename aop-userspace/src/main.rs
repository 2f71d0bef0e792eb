//! The command line: the verbs, and their output for people and (as JSON) for programs.
//!
//! Exit codes: 0 success; 1 the verb failed, the configuration is bad, `prove` found a wrong
//! verdict or `doctor` found something wrong; 2 the command line is wrong; 3 aop stopped, but the
//! drain deadline passed and it cut connections.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line prints for the operator"
)]

mod check;
mod check_files;
mod confined;
mod confirm;
mod doctor;
mod drop_line;
mod drops;
mod explain;
mod identities;
mod load;
mod log;
mod manual;
mod mode;
mod open;
mod peers;
mod prefixes;
mod prove;
mod reload;
mod run;
mod screen;
mod status;
mod top;
mod unload;
mod upgrade;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

/// Makes a Linux origin answer only its CDN's authenticated origin pulls.
#[derive(Parser)]
#[command(name = "aop", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 success; 1 failure, bad configuration, failed proof or something \
                        wrong; 2 wrong command line; 3 stopped, but past the drain deadline."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Filter packets and serve until SIGTERM; SIGHUP reloads the configuration
    Run(run::Run),
    /// Load the firewall as configured and exit: for boot, before the network is up
    Load(load::Load),
    /// Check the configuration and every file that it names; changes nothing
    Check(check::Check),
    /// Show the state of the firewall and the terminator; works without a daemon too
    Status(status::StatusCommand),
    /// Show both live on a terminal: rates, strangers, peers, sites
    Top(top::Top),
    /// Show which client certificates the edge presents; works without a daemon too
    Identities(identities::IdentitiesCommand),
    /// Show every authenticated peer and whether it is admitted now; works without a daemon too
    Peers(peers::PeersCommand),
    /// Show dropped packets as they arrive; the counters in status include all of them
    Drops(drops::DropsCommand),
    /// Explain the verdict on packets from an address or in a capture; changes nothing
    Explain(explain::Explain),
    /// Run every shape of the packet table through the loaded firewall; changes nothing
    Prove(prove::Prove),
    /// Attack both locks of this host; report what is wrong, what visitors see, and the cure
    Doctor(doctor::Doctor),
    /// Show the modes in force, or switch between observe and enforce at once
    Mode(mode::ModeCommand),
    /// Keep the mode that `aop mode enforce --confirm` set for a limited time
    Confirm(confirm::Confirm),
    /// Emergency opening: admit a network for a limited time, close it, or list the openings
    Open(open::Open),
    /// Make the daemon reload its configuration, as SIGHUP does, and report the result
    Reload(reload::Reload),
    /// Show, compare and refresh the prefix list
    Prefixes(prefixes::Prefixes),
    /// Hand over to a new process of the installed program without cutting a connection
    Upgrade(upgrade::UpgradeCommand),
    /// Print the completion script for a shell
    Completions(manual::Completions),
    /// Write the man pages of the package
    #[command(hide = true)]
    ManPages(manual::ManPages),
    /// Part of `run`, which starts it: serve, without any privilege
    #[command(hide = true)]
    Terminate(confined::Terminate),
    /// Part of `run` and `prefixes`, which start it: fetch a list, without any privilege
    #[command(hide = true)]
    FetchList(confined::FetchList),
    /// Detach the firewall from every interface and remove its pinned maps
    Unload(unload::Unload),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = "/etc/aop/aop.toml")]
    config: PathBuf,
}

/// Runs the verb of the command line.
#[must_use]
pub fn main() -> ExitCode {
    let answer = match Cli::parse().command {
        Command::Run(command) => command.run(),
        Command::Load(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Top(command) => command.run(),
        Command::Identities(command) => command.run(),
        Command::Peers(command) => command.run(),
        Command::Drops(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Prove(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Mode(command) => command.run(),
        Command::Confirm(command) => command.run(),
        Command::Open(command) => command.run(),
        Command::Reload(command) => command.run(),
        Command::Prefixes(command) => command.run(),
        Command::Upgrade(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::ManPages(command) => command.run(),
        Command::Terminate(command) => command.run(),
        Command::FetchList(command) => command.run(),
        Command::Unload(command) => command.run(),
    };
    answer.unwrap_or_else(|error| {
        eprintln!("{}aop: {}", log::mark_of_errors(), told_once(&error));
        ExitCode::FAILURE
    })
}

/// The error and its causes, without a cause that the text before it already contains.
fn told_once(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        match (text.is_empty(), text.contains(&cause)) {
            (true, _) => cause,
            (false, true) => text,
            (false, false) => format!("{text}: {cause}"),
        }
    })
}

/// Parses a time such as 10s or 5m.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().map_err(|error| error.to_string())?;
    Duration::try_from(parsed).map_err(|_| "a duration cannot be negative".to_owned())
}

/// `document` as indented JSON.
fn json(document: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// Writes `text` to standard output. A reader that closed the pipe early (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
