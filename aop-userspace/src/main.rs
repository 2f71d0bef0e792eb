//! The program `aop`: its command line, and what people and (as JSON) programs read of it.
//!
//! Each verb is a file in `commands/`, which asks the daemon or another crate and decides nothing
//! itself. `output/` shows documents, `top/` is the live screen, `log/` is the log of processes.
//!
//! Exit codes: 0 success; 1 the verb failed, the configuration is bad, `prove` found a wrong
//! verdict or `doctor` found something wrong; 2 the command line is wrong; 3 aop stopped, but the
//! drain deadline passed and it cut connections. `status --check` has those of Nagios.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line prints for the operator"
)]

mod arguments;
mod commands;
mod daemon;
mod log;
mod output;
mod signals;
mod top;

use std::process::ExitCode;

use clap::Parser;

/// Makes a Linux origin answer only its CDN's authenticated origin pulls.
#[derive(Parser)]
#[command(name = "aop", version, propagate_version = true, max_term_width = 80)]
#[command(
    after_help = "Exit codes: 0 success; 1 failure, bad configuration, failed proof or something \
                        wrong; 2 wrong command line; 3 stopped, but past the drain deadline. Of \
                        `aop status --check`: 0 OK, 1 warning, 2 critical, 3 unknown."
)]
struct Cli {
    #[command(subcommand)]
    verb: commands::Verb,
}

/// Runs the verb of the command line.
#[must_use]
pub fn main() -> ExitCode {
    Cli::parse().verb.run().unwrap_or_else(|error| {
        eprintln!("{}aop: {}", log::error_priority_prefix(), output::error_chain(&error));
        ExitCode::FAILURE
    })
}
