//! `aop upgrade`: asks the daemon to hand over to a new process, and prints the result.

use std::process::ExitCode;

use aop_api::{Release, Request, UpgradeResult};
use clap::Args;

use crate::{
    arguments::{ConfigFile, Output},
    daemon,
};

#[derive(Args)]
#[command(after_help = "\
The daemon starts the program at the path from which it was itself started, with the same
arguments: install the new program there first. The new process reads the configuration, takes
over the firewall and the listening sockets, and serves. Connections that are open in the old
process stay there for limits.linger at most. They end within limits.drain if the new process
reloads or stops, or if it has another configuration. While the new process starts, aop declines
reloads, refreshes and mode changes.

If the new process fails, hangs or dies before it serves, the old one continues as before, this
command says why, and the exit code is 1. Changes that a reload cannot make (listener.bind,
terminator.user, limits) take effect.")]
pub(crate) struct UpgradeCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    output: Output,
}

impl UpgradeCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let upgraded: UpgradeResult = daemon::ask(
            &self.file.config,
            Request::Upgrade,
            "there is nothing to upgrade. Start aop instead (`systemctl start aop`, or `aop run`)",
        )?;
        self.output.print(&upgraded, render)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(upgraded: &UpgradeResult) -> String {
    let UpgradeResult { from, to, draining, deadline_seconds } = upgraded;
    let named = |Release { version, pid }: &Release| format!("aop {version} (process {pid})");
    let rest = match draining {
        0 => "no connection was open in the old process".to_owned(),
        1 => format!("1 connection drains in the old process, for {deadline_seconds} s at most"),
        open => {
            format!("{open} connections drain in the old process, for {deadline_seconds} s at most")
        }
    };
    format!("{} → {}\n{rest}\n", named(from), named(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_processes_and_the_draining_connections_are_shown() {
        let release = |version: &str, pid| Release { version: version.to_owned(), pid };
        let (from, to) = (release("0.1.0", 7), release("0.2.0", 9));
        let mut upgraded = UpgradeResult { from, to, draining: 1, deadline_seconds: 30 };
        let first = "aop 0.1.0 (process 7) → aop 0.2.0 (process 9)";
        let one = "1 connection drains in the old process, for 30 s at most";
        assert_eq!(render(&upgraded), format!("{first}\n{one}\n"));
        upgraded.draining = 0;
        let none = "no connection was open in the old process";
        assert_eq!(render(&upgraded), format!("{first}\n{none}\n"));
    }
}
