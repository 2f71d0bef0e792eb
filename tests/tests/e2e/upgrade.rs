//! Another process takes over: nothing is refused, nothing is cut, and packets are judged throughout.
//! Or it does not, and nothing has changed.

mod draining_predecessor;
mod failures;
mod readiness;
mod takeover;
mod under_load;

use anyhow::{Context, Result, ensure};
use aop_tests::{Process, wait};
use nix::sys::signal::Signal;

use crate::stage::{SOON, Stage};

/// Whether this process is the daemon, by the word of whoever answers.
fn is_the_daemon(stage: &Stage, process: Process) -> Result<()> {
    let status = stage.daemon.status()?;
    ensure!(status.json()["daemon"]["pid"] == process.0, "{:?}", status.json()["daemon"]);
    Ok(())
}

fn end(process: Process) -> Result<()> {
    process.signal(Signal::SIGTERM).context("it is gone")
}

/// It has ended, though perhaps nobody has waited for it yet.
fn ends(process: Process) -> Result<()> {
    wait::until("the process ends", SOON, || {
        process.status("State").map_or(true, |state| state.starts_with('Z')).then_some(())
    })
}
