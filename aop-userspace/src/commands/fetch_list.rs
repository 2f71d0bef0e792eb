//! `aop fetch-list`: the process without privilege that fetches a prefix list. The daemon and `aop
//! prefixes` start it.

use std::process::ExitCode;

use anyhow::Context;
use aop_sandbox::{NameLookup, ProcessRole};
use clap::Args;

use crate::arguments::TargetIds;

const PROCESS: &str = "the fetch process";

#[derive(Args)]
pub(crate) struct FetchListCommand {
    #[command(flatten)]
    target: TargetIds,
}

impl FetchListCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (channel, _) = aop_sandbox::drop_privileges(
            ProcessRole::FetchList,
            self.target.ids,
            NameLookup::AtStart,
        )
        .context(PROCESS)?;
        aop_tls::install_default_provider();
        aop_prefixes::run_fetch_process(&channel).context(PROCESS)?;
        Ok(ExitCode::SUCCESS)
    }
}
