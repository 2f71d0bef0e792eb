//! `aop upgrade`: a successor takes over, no connection is refused or cut, and packets are filtered
//! all the time. If it does not take over, nothing changes.

mod draining_predecessor;
mod failures;
mod other_layout;
mod readiness;
mod takeover;
mod under_load;

use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::child::{self, CommandOutput};
use aop_tests::{Process, wait};

use crate::stage::{SOON, Stage};

/// The control socket answers with the process id of `process`.
fn is_the_daemon(stage: &Stage, process: Process) -> Result<()> {
    let status = stage.daemon.status()?;
    ensure!(status.json()["daemon"]["pid"] == process.0, "{:?}", status.json()["daemon"]);
    Ok(())
}

/// Waits until the process has exited. It may still be a zombie.
fn ends(process: Process) -> Result<()> {
    wait::until("the process ends", SOON, || {
        process.status("State").map_or(true, |state| state.starts_with('Z')).then_some(())
    })
}

/// Runs `aop upgrade` with the built program, not with the program of the daemon.
fn upgrade(stage: &Stage) -> Result<CommandOutput> {
    let mut command = stage.lab.origin().command(child::built("aop")?);
    command.arg("upgrade").arg("--config").arg(stage.daemon.config_path());
    child::finish(command, &[], Duration::from_secs(40))
}
