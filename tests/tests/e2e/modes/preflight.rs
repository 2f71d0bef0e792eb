//! The preflight: `aop mode enforce` is refused if the traffic so far shows that it would cut
//! pulls.

use anyhow::{Result, ensure};
use aop_tests::IpVersion;

use super::{stranger_is_served, stranger_meets_silence, two_ports};
use crate::stage::{Stage, on_changed_stage};

/// Each of these commands is refused for this reason, and the mode does not change.
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
    stage.daemon.verb(line)?.success()?;
    Ok(())
}

#[test]
fn enforce_is_refused_without_peers_and_with_peers_outside_the_prefixes() {
    on_changed_stage(two_ports, |stage| {
        is_refused(stage, "no peer has authenticated at the listeners yet")?;
        stage.edge_is_served()?;
        is_done(stage, &["mode", "enforce"])?;
        is_done(stage, &["mode", "observe"])?;

        stranger_is_served(&stage.lab, 443)?;
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        is_refused(stage, &stranger)?;
        is_refused(stage, "authenticated within the last 24 hours")?;
        stranger_is_served(&stage.lab, 443)?;
        is_done(stage, &["mode", "enforce", "--force"])?;
        stranger_meets_silence(&stage.lab, 443)?;
        // This changes nothing.
        is_done(stage, &["mode", "enforce"])
    });
}
