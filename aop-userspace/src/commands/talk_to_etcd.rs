//! `aop talk-to-etcd`: the process without privilege that talks to the etcd of a fleet. The daemon
//! and `aop fleet` start it.

use std::process::ExitCode;

use anyhow::Context;
use aop_sandbox::{NameLookup, ProcessRole};
use clap::Args;

use crate::arguments::TargetIds;

const PROCESS: &str = "the process that talks to etcd";

#[derive(Args)]
pub(crate) struct TalkToEtcdCommand {
    #[command(flatten)]
    target: TargetIds,
    /// It looks up names for its whole life
    #[arg(long)]
    names: bool,
}

impl TalkToEtcdCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        aop_sandbox::ignore_signals().context(PROCESS)?;
        let names = if self.names { NameLookup::Always } else { NameLookup::AtStart };
        let (channel, _) =
            aop_sandbox::drop_privileges(ProcessRole::TalkToEtcd, self.target.ids, names)
                .context(PROCESS)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let done = runtime.block_on(aop_fleet::run_process(channel));
        runtime.shutdown_background();
        done.context(PROCESS)?;
        Ok(ExitCode::SUCCESS)
    }
}
