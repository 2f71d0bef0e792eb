//! The log on standard error. If standard error is systemd's journal, entries carry their fields.

mod journal;

use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, IsTerminal},
};

use clap::{Args, ValueEnum};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use self::journal::Journal;

#[derive(Args)]
pub(crate) struct LogArguments {
    /// The format of the log on standard error; by default text, or, if standard error is systemd's
    /// journal, entries with fields
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArguments {
    /// The arguments that give another aop process the same log format.
    pub(crate) fn options(&self) -> Vec<OsString> {
        let format = self.log_format.and_then(|format| format.to_possible_value());
        let format = format.map(|format| format!("--log-format={}", format.get_name()).into());
        format.into_iter().collect()
    }

    /// Starts the log. The filter is AOP_LOG in the syntax of `EnvFilter`, by default `info`, plus
    /// the directives in `more`.
    pub(crate) fn start(&self, more: &[&str]) -> anyhow::Result<()> {
        let mut filter =
            EnvFilter::try_from_env("AOP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        for directive in more {
            filter = filter.add_directive(directive.parse()?);
        }
        let journal = self.log_format.is_none().then(Journal::of_stderr).flatten();
        if let Some(journal) = journal {
            return set(tracing_subscriber::registry().with(filter).with(journal).try_init());
        }
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(colours)
            .with_target(false);
        set(match self.log_format {
            Some(LogFormat::Text) | None => log.try_init(),
            Some(LogFormat::Json) => log.json().flatten_event(true).try_init(),
        })
    }
}

/// The prefix of a plain line on standard error: the journal reads `<3>` as priority "error"
/// (sd-daemon(3)).
pub(crate) fn error_priority_prefix() -> &'static str {
    if journal::is_stderr() { "<3>" } else { "" }
}

fn set<E: Display>(done: Result<(), E>) -> anyhow::Result<()> {
    done.map_err(|error| anyhow::anyhow!("cannot set up the log: {error}"))
}
