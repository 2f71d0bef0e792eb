//! `aop run`

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::ConfigFile;
use crate::{
    daemon::{self, Ended},
    firewall::PacketLog,
};

const CUT: u8 = 3;

#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    file: ConfigFile,
    /// Log every packet's verdict: for diagnosis, it is slow
    #[arg(long, value_enum, default_value_t = BpfLog::Off)]
    bpf_log: BpfLog,
    /// How the log is written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum BpfLog {
    Off,
    Debug,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.log()?;
        let packets = match self.bpf_log {
            BpfLog::Off => PacketLog::Off,
            BpfLog::Debug => PacketLog::Debug,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let ended = runtime.block_on(daemon::run(&self.file.config, packets));
        // A fetch that hangs is not waited for.
        runtime.shutdown_background();
        match ended? {
            Ended::Drained => Ok(ExitCode::SUCCESS),
            Ended::Cut(_) => Ok(ExitCode::from(CUT)),
        }
    }

    /// The level is `info`, or what AOP_LOG says in the syntax of `EnvFilter`. Records of packets
    /// come at debug, from the target that the packet program names.
    fn log(&self) -> anyhow::Result<()> {
        let mut filter =
            EnvFilter::try_from_env("AOP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        if self.bpf_log == BpfLog::Debug {
            filter = filter.add_directive("aop_ebpf=debug".parse()?);
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
