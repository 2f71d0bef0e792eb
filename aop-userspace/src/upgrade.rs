//! `aop upgrade`

use std::process::ExitCode;

use anyhow::bail;
use aop_api::{Release, Request, Upgraded};
use aop_config::Config;
use aop_control::AskError;
use clap::Args;

use super::{ConfigFile, json, print};

#[derive(Args)]
#[command(after_help = "\
The daemon starts the program that is now at the path that it was itself started by, with the
same arguments: put the new one there first. The new process reads the configuration anew, takes
over firewall and listening sockets, and serves. What is open in the old one goes on there for
limits.linger at most, or ends within limits.drain once the new one reloads or stops, or where it
was started with another configuration. Reloads, refreshes and mode switches are declined while
the new one starts.

If the new one fails, hangs or dies before it serves, the old one goes on as before, this says
why, and the exit code is 1. Changes that a reload cannot make (listener.bind, terminator.user,
limits) take effect.")]
pub(super) struct UpgradeCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl UpgradeCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let upgraded: Upgraded = match aop_control::ask(&paths.runtime, Request::Upgrade) {
            Err(error @ AskError::NotRunning(_)) => bail!(
                "{error}: there is nothing to upgrade. Start the new one (`systemctl start aop`, or \
                 `aop run`)"
            ),
            answered => answered?,
        };
        print(&if self.json { json(&upgraded)? } else { told(&upgraded) })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn told(upgraded: &Upgraded) -> String {
    let Upgraded { from, to, draining, deadline_seconds } = upgraded;
    let named = |Release { version, pid }: &Release| format!("aop {version} (process {pid})");
    let rest = match draining {
        0 => "no connection was open in the old one".to_owned(),
        1 => format!("1 connection drains in the old one, for {deadline_seconds} s at most"),
        open => {
            format!("{open} connections drain in the old one, for {deadline_seconds} s at most")
        }
    };
    format!("{} → {}\n{rest}\n", named(from), named(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_processes_and_what_drains_are_told() {
        let release = |version: &str, pid| Release { version: version.to_owned(), pid };
        let (from, to) = (release("0.1.0", 7), release("0.2.0", 9));
        let mut upgraded = Upgraded { from, to, draining: 1, deadline_seconds: 30 };
        let first = "aop 0.1.0 (process 7) → aop 0.2.0 (process 9)";
        let one = "1 connection drains in the old one, for 30 s at most";
        assert_eq!(told(&upgraded), format!("{first}\n{one}\n"));
        upgraded.draining = 0;
        assert_eq!(told(&upgraded), format!("{first}\nno connection was open in the old one\n"));
    }
}
