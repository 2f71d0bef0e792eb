//! `aop terminate` and `aop fetch-list`: what aop starts by itself, without privilege.

use std::{process::ExitCode, thread};

use anyhow::Context;
use aop_sandbox::{Ids, Names, Verb};
use clap::Args;

use super::log;

#[derive(Args)]
pub(super) struct Terminate {
    #[command(flatten)]
    ids: Become,
    /// Sites have upstreams that are named, not numbered
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
    ids: Option<Ids>,
}

fn ids(text: &str) -> Result<Ids, String> {
    let parsed = text.split_once(':').and_then(|(user, group)| {
        Some(Ids { user: user.parse().ok()?, group: group.parse().ok()? })
    });
    parsed.ok_or_else(|| "not two numbers, as 65534:65534".to_owned())
}

impl Terminate {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        const WHO: &str = "the terminator process";
        aop_sandbox::ignore_signals().context(WHO)?;
        // A quota of CPU time stands in files that are out of reach below.
        let cpus = thread::available_parallelism().map_or(1, Into::into);
        let names = if self.names { Names::Ever } else { Names::Now };
        let (channel, fence) =
            aop_sandbox::descend(Verb::Terminate, self.ids.ids, names).context(WHO)?;
        self.log.start(&[])?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let served = runtime.block_on(aop_terminator_process::serve(channel, fence, cpus));
        // Nothing is left to wait for: whoever it served is gone with the daemon.
        runtime.shutdown_background();
        served.context(WHO)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl FetchList {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        const WHO: &str = "the process that fetches a list";
        let (channel, _) =
            aop_sandbox::descend(Verb::FetchList, self.ids.ids, Names::Now).context(WHO)?;
        aop_prefixes::run_errand(&channel).context(WHO)?;
        Ok(ExitCode::SUCCESS)
    }
}
