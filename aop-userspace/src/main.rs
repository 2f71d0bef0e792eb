//! The command line: what can be asked of aop, and how it answers people and programs.
//!
//! Exit codes: 0 done; 1 it failed, a proof found a wrong verdict, the doctor found something wrong, or the configuration is bad; 2 the command line makes no sense;
//! 3 aop stopped, but past the drain deadline and with connections cut.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where aop speaks to its operator"
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

/// Makes a Linux origin answer its CDN's authenticated origin pulls, and nobody else.
#[derive(Parser)]
#[command(name = "aop", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, bad configuration, a failed proof or something wrong; 2 bad \
                        command line; 3 stopped past the drain deadline."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Guard and serve until SIGTERM; SIGHUP reloads the configuration
    Run(run::Run),
    /// Guard as the configuration says and exit: at boot, before the network is up
    Load(load::Load),
    /// Check the configuration and every file it names, changing nothing
    Check(check::Check),
    /// Show what the firewall and the terminator do; works without a daemon too
    Status(status::StatusCommand),
    /// Watch both as it happens: rates, strangers, peers, sites; on a terminal
    Top(top::Top),
    /// Show which client certificates the edge really presents; works without a daemon too
    Identities(identities::IdentitiesCommand),
    /// Show every authenticated peer and whether it is admitted now; works without a daemon too
    Peers(peers::PeersCommand),
    /// Show dropped packets as they come; the counters in status have them all
    Drops(drops::DropsCommand),
    /// Say what becomes of packets from an address, or of a capture's, and why; changes nothing
    Explain(explain::Explain),
    /// Run every shape of the packet table through the firewall in force; changes nothing
    Prove(prove::Prove),
    /// Attack this host through both locks, and say what is wrong, what visitors see, and what mends it
    Doctor(doctor::Doctor),
    /// Show the modes in force, or switch between observe and enforce at once
    Mode(mode::ModeCommand),
    /// Make last what `aop mode enforce --confirm` has put in force for a time
    Confirm(confirm::Confirm),
    /// Break-glass: admit a network for a time, end that, or show what is open
    Open(open::Open),
    /// Make the daemon reload its configuration, as SIGHUP does, and say what came of it
    Reload(reload::Reload),
    /// Show, compare and refresh the prefix list
    Prefixes(prefixes::Prefixes),
    /// Hand over to a new process of the program as it is on disk now, and cut no connection
    Upgrade(upgrade::UpgradeCommand),
    /// Print what makes a shell complete aop's words
    Completions(manual::Completions),
    /// Write the man pages, as the package has them
    #[command(hide = true)]
    ManPages(manual::ManPages),
    /// A part of `run`, started by it: serve, without any privilege
    #[command(hide = true)]
    Terminate(confined::Terminate),
    /// A part of `run` and `prefixes`, started by them: fetch a list, without any privilege
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

/// Does what the command line says.
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

/// The error and its causes, leaving out a cause that the text before it has told already.
fn told_once(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        match (text.is_empty(), text.contains(&cause)) {
            (true, _) => cause,
            (false, true) => text,
            (false, false) => format!("{text}: {cause}"),
        }
    })
}

/// A time, as 10s or 5m.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().map_err(|error| error.to_string())?;
    Duration::try_from(parsed).map_err(|_| "a duration is not negative".to_owned())
}

/// `document` as people can read it and programs can too.
fn json(document: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// Writes `text` to standard output; a reader that has left early (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
