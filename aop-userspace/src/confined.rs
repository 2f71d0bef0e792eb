//! `aop terminate` and `aop fetch-list`: the unprivileged processes that aop starts by itself.

use std::{process::ExitCode, thread};

use anyhow::Context;
use aop_sandbox::{NameLookup, ProcessRole, UserIds};
use clap::Args;

use super::log;

#[derive(Args)]
pub(super) struct Terminate {
    #[command(flatten)]
    ids: Become,
    /// Sites have upstreams that are given by host name, not by address
    #[arg(long)]
    names: bool,
    #[command(flatten)]
    log: log::Log,
}

#[derive(Args)]
pub(super) struct FetchList {
    #[command(flatten)]
    ids: Become,
}

#[derive(Args)]
struct Become {
    /// The user and group to become, by number
    #[arg(long = "become", value_name = "USER:GROUP", value_parser = ids)]
    ids: Option<UserIds>,
}

fn ids(text: &str) -> Result<UserIds, String> {
    let parsed = text.split_once(':').and_then(|(user, group)| {
        Some(UserIds { user: user.parse().ok()?, group: group.parse().ok()? })
    });
    parsed.ok_or_else(|| "expected two numbers, such as 65534:65534".to_owned())
}

impl Terminate {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        const WHO: &str = "the terminator process";
        aop_sandbox::ignore_signals().context(WHO)?;
        // Before the sandbox starts: it hides the cgroup files that hold a CPU quota.
        let cpus = thread::available_parallelism().map_or(1, Into::into);
        let names = if self.names { NameLookup::Always } else { NameLookup::AtStart };
        let (channel, fence) =
            aop_sandbox::drop_privileges(ProcessRole::Terminate, self.ids.ids, names)
                .context(WHO)?;
        self.log.start(&[])?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let served = runtime.block_on(aop_terminator_process::serve(channel, fence, cpus));
        // The daemon is gone, and no connection is worth waiting for.
        runtime.shutdown_background();
        served.context(WHO)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl FetchList {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        const WHO: &str = "the fetch process";
        let (channel, _) =
            aop_sandbox::drop_privileges(ProcessRole::FetchList, self.ids.ids, NameLookup::AtStart)
                .context(WHO)?;
        aop_tls::install_default_provider();
        aop_prefixes::run_fetch_process(&channel).context(WHO)?;
        Ok(ExitCode::SUCCESS)
    }
}
