//! The log, on standard error.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Args)]
pub(super) struct Log {
    /// How the log is written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Log {
    /// The same on a command line.
    pub(super) fn options(&self) -> Vec<OsString> {
        let format = self.log_format.to_possible_value();
        let format = format.map(|format| format!("--log-format={}", format.get_name()).into());
        format.into_iter().collect()
    }

    /// The level is `info`, or what AOP_LOG says in the syntax of `EnvFilter`, and `more` beside it.
    pub(super) fn start(&self, more: &[&str]) -> anyhow::Result<()> {
        let mut filter =
            EnvFilter::try_from_env("AOP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        for directive in more {
            filter = filter.add_directive(directive.parse()?);
        }
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(colours)
            .with_target(false);
        let set = match self.log_format {
            LogFormat::Text => log.try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        };
        set.map_err(|error| anyhow::anyhow!("cannot set up the log: {error}"))
    }
}
