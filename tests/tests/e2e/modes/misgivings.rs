//! `aop mode enforce` refuses where what was observed says that real pulls would be cut.

use anyhow::{Result, ensure};
use aop_tests::Family;

use super::{stranger_is_served, stranger_meets_silence, two_ports};
use crate::stage::{Stage, on_changed_stage};

/// Each of these commands is refused for this reason, and nothing is switched.
fn is_refused(stage: &Stage, reason: &str) -> Result<()> {
    let port = ["mode", "enforce", "--port", "443"];
    for line in [&["mode", "enforce"][..], &["mode", "enforce", "--confirm", "1m"], &port] {
        let done = stage.daemon.verb(line)?;
        ensure!(done.code == 1 && done.errors.contains("--force"), "{line:?}: {done:?}");
        ensure!(done.errors.contains(reason), "{line:?}: {done:?}");
    }
    let modes = &stage.daemon.status()?.json()["modes"].clone();
    ensure!(modes["set_at"].is_null() && modes["pending"].is_null(), "{modes}");
    Ok(())
}

fn is_done(stage: &Stage, line: &[&str]) -> Result<()> {
    let done = stage.daemon.verb(line)?;
    ensure!(done.code == 0, "{line:?}: {done:?}");
    Ok(())
}

#[test]
fn nobody_who_pulls_and_somebody_whom_no_prefix_admits_are_reasons_not_to_enforce() {
    on_changed_stage(two_ports, |stage| {
        is_refused(stage, "no peer has authenticated at the listeners yet")?;
        stage.edge_is_served()?;
        is_done(stage, &["mode", "enforce"])?;
        is_done(stage, &["mode", "observe"])?;

        stranger_is_served(&stage.world, 443)?;
        let stranger = stage.world.stranger_address(Family::V4).to_string();
        is_refused(stage, &stranger)?;
        is_refused(stage, "authenticated within the last 24 hours")?;
        stranger_is_served(&stage.world, 443)?;
        is_done(stage, &["mode", "enforce", "--force"])?;
        stranger_meets_silence(&stage.world, 443)?;
        // It changes nothing.
        is_done(stage, &["mode", "enforce"])
    });
}
