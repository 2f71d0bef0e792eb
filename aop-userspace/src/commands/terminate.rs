//! `aop terminate`: the process without privilege that terminates TLS. The daemon starts it.

use std::{process::ExitCode, thread};

use anyhow::Context;
use aop_sandbox::{NameLookup, ProcessRole};
use clap::Args;

use crate::{arguments::TargetIds, log::LogArguments};

const PROCESS: &str = "the terminator process";

#[derive(Args)]
pub(crate) struct TerminateCommand {
    #[command(flatten)]
    target: TargetIds,
    /// Sites have upstreams that are given by host name, not by address
    #[arg(long)]
    names: bool,
    #[command(flatten)]
    log: LogArguments,
}

impl TerminateCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        aop_sandbox::ignore_signals().context(PROCESS)?;
        // Before the sandbox starts: it hides the cgroup files that hold a CPU quota.
        let cpus = thread::available_parallelism().map_or(1, Into::into);
        let names = if self.names { NameLookup::Always } else { NameLookup::AtStart };
        let (channel, sandbox) =
            aop_sandbox::drop_privileges(ProcessRole::Terminate, self.target.ids, names)
                .context(PROCESS)?;
        self.log.start(&[])?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let served = runtime.block_on(aop_terminator_process::serve(channel, sandbox, cpus));
        // The daemon is gone, and no connection is worth waiting for.
        runtime.shutdown_background();
        served.context(PROCESS)?;
        Ok(ExitCode::SUCCESS)
    }
}
