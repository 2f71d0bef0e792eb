//! `aop mode enforce --confirm`: what nobody confirms in time is taken back, whatever becomes of the
//! daemon meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::wait;
use serde_json::Value;

use super::{mode, stranger_is_served, stranger_meets_silence, two_ports};
use crate::stage::{Stage, on_changed_stage};

/// Ten seconds, and a busy machine.
const TAKEN_BACK: Duration = Duration::from_secs(20);

fn pending(stage: &Stage) -> Result<Value> {
    Ok(stage.daemon.status()?.json()["modes"]["pending"].clone())
}

/// All observes again, and nothing is kept that a restart would hear.
fn is_taken_back(stage: &Stage) -> Result<()> {
    wait::until("what was said is taken back", TAKEN_BACK, || {
        pending(stage).ok().filter(Value::is_null).map(drop)
    })
    .with_context(|| stage.daemon.log())?;
    stranger_is_served(&stage.world, 443)?;
    ensure!(!stage.config.state.join("modes.json").exists());
    Ok(())
}

#[test]
fn a_port_that_nobody_confirms_observes_again_though_an_upgrade_came_in_between() {
    on_changed_stage(two_ports, |stage| {
        let said = mode(&stage.daemon, "enforce --port 443 --confirm 10s")?;
        ensure!(said.contains("port 443: enforcing until "), "{said}");
        ensure!(said.contains(" UTC unless `aop confirm`; then observe\n"), "{said}");
        stranger_meets_silence(&stage.world, 443)?;
        let shown = String::from_utf8(stage.daemon.verb(&["status"])?.output)?;
        let second = shown.lines().nth(1).context("one line")?;
        ensure!(second.contains("enforcing until ") && second.contains("`aop confirm`"), "{shown}");
        let told = pending(stage)?;
        ensure!(told["mode"] == "enforce" && told["reverts_to"] == "observe", "{told}");
        ensure!(told["until"].is_string() && told["ports"] == serde_json::json!([443]), "{told}");

        stage.daemon.upgrade()?;
        ensure!(pending(stage)? == told, "{}", pending(stage)?);
        is_taken_back(stage)
    });
}

#[test]
fn a_daemon_that_starts_after_the_deadline_takes_back_before_it_serves() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "enforce --confirm 10s")?;
        stage.daemon.kill();
        stage.daemon.run()?;
        stranger_meets_silence(&stage.world, 8443)?;
        ensure!(pending(stage)?["reverts_to"] == "observe", "a restart in time forgets it");
        stage.daemon.kill();
        std::thread::sleep(Duration::from_secs(11));
        stage.daemon.run()?;
        let log = stage.daemon.log();
        let (before, _) = log.split_once(" ready").context("not ready")?;
        ensure!(before.contains("was not confirmed by") && before.contains("reverted to observe"));
        is_taken_back(stage)
    });
}

#[test]
fn what_is_confirmed_lasts_and_a_load_without_a_daemon_confirms_nothing() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "enforce --confirm 10s")?;
        let confirmed = stage.daemon.verb(&["confirm", "--json"])?;
        ensure!(confirmed.code == 0, "{confirmed:?}");
        let told: Value = serde_json::from_slice(&confirmed.output)?;
        ensure!(told["mode"] == "enforce" && told["pending"].is_null(), "{told}");
        let again = stage.daemon.verb(&["confirm"])?;
        ensure!(again.code == 1 && again.errors.contains("nothing to confirm"), "{again:?}");
        std::thread::sleep(Duration::from_secs(11));
        stranger_meets_silence(&stage.world, 443)?;
        stage.daemon.run()?;
        stranger_meets_silence(&stage.world, 443)?;

        mode(&stage.daemon, "observe")?;
        mode(&stage.daemon, "enforce --confirm 1h")?;
        stage.daemon.kill();
        ensure!(stage.daemon.verb(&["load"])?.code == 0);
        stage.daemon.run()?;
        is_taken_back(stage)
    });
}
