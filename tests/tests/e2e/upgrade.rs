//! `aop upgrade`: a successor takes over, no connection is refused or cut, and packets are filtered
//! all the time. If it does not take over, nothing changes.

mod draining_predecessor;
mod failures;
mod other_layout;
mod readiness;
mod takeover;
mod under_load;

use anyhow::{Result, ensure};
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
