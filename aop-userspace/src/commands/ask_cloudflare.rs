//! `aop ask-cloudflare`: the process without privilege that talks to Cloudflare's API. `aop
//! cloudflare` starts it.

use std::process::ExitCode;

use anyhow::Context;
use aop_sandbox::{NameLookup, ProcessRole};
use clap::Args;

use crate::arguments::TargetIds;

const PROCESS: &str = "the process that talks to Cloudflare's API";

#[derive(Args)]
pub(crate) struct AskCloudflareCommand {
    #[command(flatten)]
    target: TargetIds,
}

impl AskCloudflareCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (channel, _) = aop_sandbox::drop_privileges(
            ProcessRole::AskCloudflare,
            self.target.ids,
            NameLookup::AtStart,
        )
        .context(PROCESS)?;
        aop_tls::install_default_provider();
        aop_cloudflare::run_process(&channel).context(PROCESS)?;
        Ok(ExitCode::SUCCESS)
    }
}
