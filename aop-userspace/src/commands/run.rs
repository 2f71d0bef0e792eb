//! `aop run`: the daemon in the foreground.

use std::process::ExitCode;

use anyhow::Context;
use aop_daemon::{Logs, ProcessStart, ShutdownOutcome};
use aop_firewall::PacketLog;
use clap::{Args, ValueEnum};

use crate::{arguments::ConfigFile, log::LogArguments};

/// The exit code if the drain deadline passed and connections were cut.
const CUT: u8 = 3;

#[derive(Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Log the verdict on every packet: only for diagnosis, because it is slow
    #[arg(long, value_enum, default_value_t = BpfLog::Off)]
    bpf_log: BpfLog,
    #[command(flatten)]
    log: LogArguments,
    /// Part of `upgrade`: take over from the daemon at the other end of standard input
    #[arg(long, hide = true)]
    take_over: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum BpfLog {
    Off,
    Debug,
}

impl RunCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        // The packet program logs at debug level, with the target `aop_ebpf`.
        let (packets, more): (_, &[&str]) = match self.bpf_log {
            BpfLog::Off => (PacketLog::Off, &[]),
            BpfLog::Debug => (PacketLog::Debug, &["aop_ebpf=debug"]),
        };
        self.log.start(more)?;
        let logs = Logs { packets, options: self.log.options() };
        let start = ProcessStart::of_this_process(self.take_over)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let ended = runtime.block_on(aop_daemon::run(&self.file.config, start, logs));
        // Do not wait for a fetch that hangs.
        runtime.shutdown_background();
        match ended? {
            ShutdownOutcome::Drained => Ok(ExitCode::SUCCESS),
            ShutdownOutcome::Cut(_) => Ok(ExitCode::from(CUT)),
        }
    }
}
